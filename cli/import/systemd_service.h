/* SPDX-License-Identifier: BSD-2-Clause */
/* The [Service] section of a unit as keys of exec:. */
#ifndef SOCKETBOX_CLI_IMPORT_SYSTEMD_SERVICE_H
#define SOCKETBOX_CLI_IMPORT_SYSTEMD_SERVICE_H

#include "cli/import/section.h"
#include "cli/import/writer.h"

void systemd_service_write(struct writer *writer, struct section *service, bool per_connection);

#endif
