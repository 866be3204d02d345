#include "CKernels.h"
#include "elementary_double.h"
#include "elementary_float.h"
#include "multiversion.h"

#define REAL float
#define NAME(base) base##_float
#include "norms.inc"
#undef REAL
#undef NAME

#define REAL double
#define NAME(base) base##_double
#include "norms.inc"
