// Thin wrappers round MPI, whose constants and handles are macros that Swift cannot read. The functions are there only with
// the package trait MPI; this header never needs an MPI of its own.
//
// All calls come from one thread, the one that called cmpi_initialize (MPI_THREAD_FUNNELED). Functions return 0, or an MPI error code.
#ifndef CMPI_H
#define CMPI_H

#include <stddef.h>
#include <stdint.h>

// An operation under way.
typedef struct cmpi_request cmpi_request;

// Messages are sent in whole units of this many bytes, so that long ones fit MPI's int counts and short ones what MPI sends unasked.
enum { cmpi_unit = 2048 };
// What a message is: one of the program, or a sign of life.
enum { cmpi_data = 1, cmpi_ping = 2, cmpi_pong = 3 };

int cmpi_initialize(int *rank, int *size);
// Waits for all other ranks.
int cmpi_finalize(void);
void cmpi_abort(int code);

// Each starts one operation; *request is released by the cmpi_test that finds it complete. count is at most INT_MAX.
int cmpi_sum_floats(float *x, size_t count, cmpi_request **request);
int cmpi_sum_doubles(double *x, size_t count, cmpi_request **request);
int cmpi_barrier(cmpi_request **request);
int cmpi_broadcast(void *bytes, size_t count, int root, cmpi_request **request);
int cmpi_send(const void *units, size_t count, int rank, int kind, cmpi_request **request);
// Progresses everything and says whether this one is complete; then *request is gone.
int cmpi_test(cmpi_request **request, int *complete);

// Looks for a message; when there is one, *request is not NULL, and cmpi_receive is due.
int cmpi_probe(int *kind, int *rank, size_t *units, cmpi_request **request);
// Starts to receive the message that was found: all of it is there, and *request released, when cmpi_test says so, which it never does
// where the sender has died half-way.
int cmpi_receive(void *units, size_t count, cmpi_request *request);

// What MPI says of an error code.
void cmpi_error_text(int code, char *text, size_t capacity);

// Lets the calling thread's short sleeps be short.
void cmpi_sleep_precisely(void);

#endif
