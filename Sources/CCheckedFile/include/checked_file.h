#ifndef CHECKED_FILE_H
#define CHECKED_FILE_H

#include <stdint.h>

/// libhdf5's file driver for reading alone, which looks at every collection of the global heap, where strings of varying length are, before libhdf5
/// does: libhdf5 follows the sizes in one without a check, out of the collection or round in a circle. A collection that is not as the file
/// format has it is a read that fails.
///
/// Returns the driver's identifier, negative where it cannot be registered. To be called under the library's lock.
int64_t checked_file_driver(void);

#endif
