#ifndef FAULTS_H
#define FAULTS_H

#include <stddef.h>
#include <stdint.h>

// What a process says when it faults, in place of a report that lists registers and memory, which may hold data or keys.

/// Handles the faults of this process for the rest of its life: one that happens while a thread reads a file in a library (`faults_enter`) ends
/// the process with exit code 3 and a line that names the file; any other one, traps of checked code included, with exit code 70, a line and the
/// addresses of the callers.
/// Signals that another process sends keep their default action.
///
/// `program` begins each line, and stays valid. Returns −1 and errno when the kernel refuses.
int faults_install(const char *program);

/// This thread is going to call a library that may fault on what a file holds. Calls nest.
void faults_enter(void);

/// It has come back.
void faults_leave(void);

/// This thread is going to have the library write a file of our own. Calls nest.
void faults_begin_writing(void);

/// It has written it.
void faults_end_writing(void);

/// What the library works on from here on, for the line: copied, and printed with `?` for whatever is not printable ASCII. To be called by one thread
/// at a time, inside of `faults_enter`. `object` may be empty.
void faults_name(const uint8_t *file, size_t file_length, const uint8_t *object, size_t object_length);

#endif
