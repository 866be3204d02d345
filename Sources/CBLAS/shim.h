#ifndef CBLAS_SHIM_H
#define CBLAS_SHIM_H

#include <cblas.h>

// LAPACK entry points that OpenBLAS exports; Debian ships no C header with it. Fortran conventions: every argument by
// address, matrices column-major.
void dlarft_(const char *direct, const char *storev, const int *n, const int *k, const double *v, const int *ldv,
             const double *tau, double *t, const int *ldt);

#endif
