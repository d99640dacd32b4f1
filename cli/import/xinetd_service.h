/* SPDX-License-Identifier: BSD-2-Clause */
/* One xinetd service, whose attributes have been read, as YAML. */
#ifndef SOCKETBOX_CLI_IMPORT_XINETD_SERVICE_H
#define SOCKETBOX_CLI_IMPORT_XINETD_SERVICE_H

#include "cli/import/section.h"
#include "cli/import/writer.h"

/* defaults: for `disabled` and `enabled`. -ENOMEM. */
int xinetd_service_write(struct writer *writer, const char *name, struct section *service,
	struct section *defaults, struct err *err);

#endif
