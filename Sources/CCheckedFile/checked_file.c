#define _GNU_SOURCE
#define H5_USE_110_API 1
#include "checked_file.h"

#include <hdf5.h>

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
  H5FD_t base;
  int descriptor;
  dev_t device;
  ino_t inode;
  uint64_t size;
  haddr_t end;
  // Bytes of a length in this file; 0 where that is not known, and then nothing is checked.
  unsigned lengthBytes;
} checked_file;

// Fills `buffer`, with zeros beyond the end of the file, as libhdf5's own driver does. 0 on success.
static int read_at(const checked_file *file, uint64_t address, size_t size, uint8_t *buffer) {
  while (size > 0) {
    size_t part = size < ((size_t)1 << 30) ? size : (size_t)1 << 30;
    if (address > INT64_MAX - (uint64_t)part) return -1;
    ssize_t count = pread(file->descriptor, buffer, part, (off_t)address);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    if (count == 0) {
      memset(buffer, 0, size);
      return 0;
    }
    buffer += count;
    address += (uint64_t)count;
    size -= (size_t)count;
  }
  return 0;
}

static uint64_t little_endian(const uint8_t *bytes, unsigned count) {
  uint64_t value = 0;
  for (unsigned i = count; i > 0; i--) value = value << 8 | bytes[i - 1];
  return value;
}

// From the superblock, which is at 0, 512, 1024, 2048 …
static unsigned length_bytes(const checked_file *file) {
  static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
  uint8_t head[16];
  for (uint64_t place = 0; place + sizeof head <= file->size; place = place ? place * 2 : 512) {
    if (read_at(file, place, sizeof head, head) != 0) return 0;
    if (memcmp(head, signature, sizeof signature) != 0) continue;
    unsigned bytes = head[8] < 2 ? head[14] : head[10];
    return bytes == 4 || bytes == 8 ? bytes : 0;
  }
  return 0;
}

enum { headBytes = 16, smallestCollection = 4096 };

// Whether the objects of a collection, each a head of 16 bytes and its content, follow one another to its end. Object 0 is what is free.
static int is_collection(const uint8_t *bytes, uint64_t size, unsigned lengthBytes) {
  uint64_t place = headBytes;
  // What is too short for a head is free.
  while (size - place >= headBytes) {
    uint64_t room = size - place;
    uint64_t length = little_endian(bytes + place + 8, lengthBytes);
    if (length > room) return 0;
    int isFree = bytes[place] == 0 && bytes[place + 1] == 0;
    uint64_t whole = isFree ? length : headBytes + ((length + 7) & ~(uint64_t)7);
    if (whole < headBytes || whole > room || whole % 8 != 0) return 0;
    place += whole;
  }
  return 1;
}

// Looks at the collection that begins at `address`, whose first bytes were read: libhdf5 reads it in one or two parts.
static int check_collection(const checked_file *file, uint64_t address, const uint8_t *first) {
  uint64_t size = little_endian(first + 8, file->lengthBytes);
  if (size < smallestCollection || address > file->size || size > file->size - address || size > SIZE_MAX) return -1;
  uint8_t *bytes = malloc((size_t)size);
  if (!bytes) return -1;
  int isWhole = read_at(file, address, (size_t)size, bytes) == 0 && is_collection(bytes, size, file->lengthBytes);
  free(bytes);
  return isWhole ? 0 : -1;
}

static herr_t checked_read(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, void *buffer) {
  (void)type;
  (void)transfer;
  const checked_file *file = (const checked_file *)base;
  if (address > INT64_MAX || size > INT64_MAX - address) return -1;
  if (read_at(file, address, size, buffer) != 0) return -1;
  // libhdf5 begins with this many bytes of a collection, and knows one by its first five; the three after them it does not look at.
  if (file->lengthBytes == 0 || size != smallestCollection || memcmp(buffer, "GCOL\1", 5) != 0) return 0;
  return check_collection(file, address, buffer);
}

static H5FD_t *checked_open(const char *name, unsigned flags, hid_t access, haddr_t largest) {
  (void)access;
  (void)largest;
  if (flags != H5F_ACC_RDONLY) return NULL;
  checked_file *file = calloc(1, sizeof *file);
  if (!file) return NULL;
  struct stat status;
  file->descriptor = open(name, O_RDONLY | O_CLOEXEC);
  if (file->descriptor < 0 || fstat(file->descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    if (file->descriptor >= 0) close(file->descriptor);
    free(file);
    return NULL;
  }
  file->device = status.st_dev;
  file->inode = status.st_ino;
  file->size = (uint64_t)status.st_size;
  file->lengthBytes = length_bytes(file);
  return &file->base;
}

static herr_t checked_close(H5FD_t *base) {
  checked_file *file = (checked_file *)base;
  int status = close(file->descriptor);
  free(file);
  return status;
}

static int checked_compare(const H5FD_t *one, const H5FD_t *other) {
  const checked_file *a = (const checked_file *)one, *b = (const checked_file *)other;
  if (a->device != b->device) return a->device < b->device ? -1 : 1;
  return a->inode == b->inode ? 0 : a->inode < b->inode ? -1 : 1;
}

static herr_t checked_query(const H5FD_t *base, unsigned long *flags) {
  (void)base;
  // As libhdf5's own driver: metadata in large reads, raw data through a buffer.
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

static haddr_t checked_get_end(const H5FD_t *base, H5FD_mem_t type) {
  (void)type;
  return ((const checked_file *)base)->end;
}

static herr_t checked_set_end(H5FD_t *base, H5FD_mem_t type, haddr_t end) {
  (void)type;
  ((checked_file *)base)->end = end;
  return 0;
}

static haddr_t checked_get_size(const H5FD_t *base, H5FD_mem_t type) {
  (void)type;
  return ((const checked_file *)base)->size;
}

static herr_t checked_write(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, const void *buffer) {
  (void)base;
  (void)type;
  (void)transfer;
  (void)address;
  (void)size;
  (void)buffer;
  return -1;
}

static const H5FD_class_t driver = {
#ifdef H5FD_CLASS_VERSION
    .version = H5FD_CLASS_VERSION,
    // Any value above those that are reserved.
    .value = (H5FD_class_value_t)(H5_VFD_RESERVED + 1),
#endif
    .name = "checked_file",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_WEAK,
    .open = checked_open,
    .close = checked_close,
    .cmp = checked_compare,
    .query = checked_query,
    .get_eoa = checked_get_end,
    .set_eoa = checked_set_end,
    .get_eof = checked_get_size,
    .read = checked_read,
    .write = checked_write,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

int64_t checked_file_driver(void) {
  static hid_t registered = -1;
  if (registered < 0) registered = H5FDregister(&driver);
  return registered;
}
