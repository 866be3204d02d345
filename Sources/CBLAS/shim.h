#ifndef CBLAS_SHIM_H
#define CBLAS_SHIM_H

#include <cblas.h>

// LAPACK entry points that OpenBLAS exports; Debian ships no C header with it. Fortran conventions: every argument by
// address, matrices column-major.
void dlarft_(const char *direct, const char *storev, const int *n, const int *k, const double *v, const int *ldv,
             const double *tau, double *t, const int *ldt);

void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info);
void dgesdd_(const char *jobz, const int *m, const int *n, double *a, const int *lda, double *s, double *u,
             const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork, int *iwork, int *info);

#endif
