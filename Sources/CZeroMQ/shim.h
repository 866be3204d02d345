#ifndef CZEROMQ_SHIM_H
#define CZEROMQ_SHIM_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <zmq.h>

// What Swift cannot import from the headers themselves: enumerators used as flags, variadic functions, and two names of
// libzmq that its headers hide. Nothing here decides anything.

/// An event counter for wake-ups: non-blocking, not inherited by child processes. −1 and errno on failure.
static inline int czmq_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

/// Forbids core dumps and attaching to this process by others of the same user. −1 and errno on failure.
static inline int czmq_set_undumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

/// 0 when core dumps are forbidden.
static inline int czmq_dumpable(void) { return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0); }

/// Bytes that the other end of a TCP connection has acknowledged since it was made; −1 where that cannot be told. The field
/// tcpi_bytes_acked of Linux's struct tcp_info (linux/tcp.h, since 4.2), which the C library's own header lacks.
static inline int64_t czmq_acknowledged_bytes(int descriptor) {
  unsigned char info[256];
  socklen_t length = sizeof info;
  uint64_t bytes;
  const size_t offset = 120;
  if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, info, &length) != 0 || length < offset + sizeof bytes) return -1;
  memcpy(&bytes, info + offset, sizeof bytes);
  return bytes > INT64_MAX ? -1 : (int64_t)bytes;
}

/// Both are in every libzmq since 4.3 (the option can be set, the property read), but the headers of 4.3 show them to builds
/// with draft functions only.
static const int32_t czmq_zap_enforce_domain = 93;
#define CZMQ_USER_ID_PROPERTY "User-Id"

#endif
