/*
 * schema_tables - the texts of the migrations. Nobody but schema includes this.
 */
#ifndef AUTOS_SCHEMA_TABLES_H
#define AUTOS_SCHEMA_TABLES_H

enum { SCHEMA_VERSION = 4 };

/* [version - 1]: statements, NULL at the end. What databases differ in stands as marks (see db.h).
 */
extern const char *const *const schema_tables[SCHEMA_VERSION];

#endif
