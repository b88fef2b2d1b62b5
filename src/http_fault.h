/*
 * http_fault - what the files of `http` share. Nobody else includes this.
 */
#ifndef AUTOS_HTTP_FAULT_H
#define AUTOS_HTTP_FAULT_H

#include "http_msg.h"

/* Of an easy handle (CURL *) and the CURLcode that it ended with. */
enum http_fault http_fault_of(void *easy, int code);

/* How far an exchange came that got no connection; `refused`: may_connect let it call nothing. */
enum http_cause http_cause_of(void *easy, int code, bool refused);

#endif
