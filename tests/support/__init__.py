# SPDX-License-Identifier: BSD-2-Clause
"""What integration and compatibility tests share: namespaces, the daemon, launched services, clients."""
