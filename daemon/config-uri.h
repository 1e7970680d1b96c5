/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A MongoDB connection string, checked as text: the driver stands to the right of the configuration, warns about most
 * slips only in its log, and leaves repeated options undefined. Source: MongoDB's connection string specification,
 * mongoc_uri_t(3). Pure. */

#include <stdbool.h>

#include "config-type.h"

typedef struct ConfigUri {
        bool user;          /* names a user */
        bool user_password; /* and the password */
        bool secret;        /* carries a password, there or in an option */
        bool direct;        /* directConnection=true */
        bool keyless;       /* its mechanism needs no password (X.509, Kerberos, AWS) */
} ConfigUri;

/* -EBADMSG with *ret_problem* filled in: no scheme, no host, a bad port, an unknown or repeated option, one that
 * sensorqd sets itself, one that mongodb+srv:// cannot have or needs. */
int config_uri_parse(const char *uri, ConfigUri *ret, ConfigProblem *ret_problem);
