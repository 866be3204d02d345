#include "CMPI.h"

// Without the trait there is nothing to compile but this.
typedef int cmpi_nothing;

#ifdef MPI

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

struct cmpi_request {
  MPI_Request handle;
  // Of a message that was found and is not being received yet.
  MPI_Message message;
};

// Sums, other collectives and messages each have a communicator, so that none is taken for another.
static MPI_Comm sums = MPI_COMM_NULL, collectives = MPI_COMM_NULL, messages = MPI_COMM_NULL;
static MPI_Datatype unit = MPI_DATATYPE_NULL;

static int duplicate(MPI_Comm *communicator) {
  int code = MPI_Comm_dup(MPI_COMM_WORLD, communicator);
  return code ? code : MPI_Comm_set_errhandler(*communicator, MPI_ERRORS_RETURN);
}

// Of what an operator has not set.
static void set_defaults(void) {
  // Programs that hold keys forbid others to read their memory (PR_SET_DUMPABLE), which is how ranks of one machine would otherwise copy
  // long messages; they go through shared memory instead, in pieces large enough that few looks move a gradient on (32 kB otherwise).
  setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
  setenv("OMPI_MCA_smsc", "^cma", 0);
  setenv("MPIR_CVAR_CH4_CMA_ENABLE", "0", 0);
  setenv("OMPI_MCA_btl_vader_max_send_size", "262144", 0);
  // Rabenseifner's reduce-scatter and all-gather. Of sums in place Open MPI 4 otherwise sends all of them up and down a tree, however many
  // and long they are.
  setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0);
}

int cmpi_initialize(int *rank, int *size) {
  int provided = 0;
  set_defaults();
  int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
  if (code) return code;
  // What is called on no communicator of this program's own, or of a lost rank's, is an error to report, not the end.
  if ((code = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN))) return code;
  if (provided < MPI_THREAD_FUNNELED) return MPI_ERR_OTHER;
  if ((code = MPI_Comm_rank(MPI_COMM_WORLD, rank))) return code;
  if ((code = MPI_Comm_size(MPI_COMM_WORLD, size))) return code;
  if ((code = duplicate(&sums)) || (code = duplicate(&collectives)) || (code = duplicate(&messages))) return code;
  if ((code = MPI_Type_contiguous(cmpi_unit, MPI_BYTE, &unit))) return code;
  return MPI_Type_commit(&unit);
}

int cmpi_finalize(void) { return MPI_Finalize(); }

void cmpi_abort(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

static int begun(int code, cmpi_request *made, cmpi_request **request) {
  if (code) {
    free(made);
    made = NULL;
  }
  *request = made;
  return code;
}

static cmpi_request *make(void) { return calloc(1, sizeof(cmpi_request)); }

int cmpi_sum_floats(float *x, size_t count, cmpi_request **request) {
  cmpi_request *made = make();
  if (!made) return MPI_ERR_NO_MEM;
  return begun(
      MPI_Iallreduce(MPI_IN_PLACE, x, (int)count, MPI_FLOAT, MPI_SUM, sums, &made->handle), made, request);
}

int cmpi_sum_doubles(double *x, size_t count, cmpi_request **request) {
  cmpi_request *made = make();
  if (!made) return MPI_ERR_NO_MEM;
  return begun(
      MPI_Iallreduce(MPI_IN_PLACE, x, (int)count, MPI_DOUBLE, MPI_SUM, sums, &made->handle), made, request);
}

int cmpi_broadcast(void *bytes, size_t count, int root, cmpi_request **request) {
  cmpi_request *made = make();
  if (!made) return MPI_ERR_NO_MEM;
  return begun(MPI_Ibcast(bytes, (int)count, MPI_BYTE, root, collectives, &made->handle), made, request);
}

int cmpi_barrier(cmpi_request **request) {
  cmpi_request *made = make();
  if (!made) return MPI_ERR_NO_MEM;
  return begun(MPI_Ibarrier(collectives, &made->handle), made, request);
}

int cmpi_send(const void *units, size_t count, int rank, int kind, cmpi_request **request) {
  cmpi_request *made = make();
  if (!made) return MPI_ERR_NO_MEM;
  return begun(MPI_Isend(units, (int)count, unit, rank, kind, messages, &made->handle), made, request);
}

int cmpi_test(cmpi_request **request, int *complete) {
  int code = MPI_Test(&(*request)->handle, complete, MPI_STATUS_IGNORE);
  if (code || *complete) {
    free(*request);
    *request = NULL;
  }
  return code;
}

int cmpi_probe(int *kind, int *rank, size_t *units, cmpi_request **request) {
  int found = 0, count = 0;
  MPI_Message message;
  MPI_Status status;
  *request = NULL;
  int code = MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, messages, &found, &message, &status);
  if (code || !found) return code;
  if ((code = MPI_Get_count(&status, unit, &count))) return code;
  if (count < 0) return MPI_ERR_TYPE;
  cmpi_request *made = make();
  if (!made) return MPI_ERR_NO_MEM;
  made->message = message;
  *kind = status.MPI_TAG;
  *rank = status.MPI_SOURCE;
  *units = (size_t)count;
  *request = made;
  return 0;
}

int cmpi_receive(void *units, size_t count, cmpi_request *request) {
  return MPI_Imrecv(units, (int)count, unit, &request->message, &request->handle);
}

void cmpi_error_text(int code, char *text, size_t capacity) {
  char message[MPI_MAX_ERROR_STRING];
  int length = 0;
  if (MPI_Error_string(code, message, &length)) length = 0;
  message[length < MPI_MAX_ERROR_STRING ? length : MPI_MAX_ERROR_STRING - 1] = 0;
  snprintf(text, capacity, "%s", message);
}

void cmpi_sleep_precisely(void) {
#ifdef __linux__
  prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
#endif
}

#endif
