/*
 * schema_tables - the texts of the migrations. Nobody but schema includes this.
 */
#ifndef AUTOS_SCHEMA_TABLES_H
#define AUTOS_SCHEMA_TABLES_H

enum { SCHEMA_VERSION = 3 };

/* [version - 1]: statements, NULL at the end. %SERIAL% stands for the driver's own row number. */
extern const char *const *const schema_tables[SCHEMA_VERSION];

#endif
