// Elementary functions in double precision: libm, because double is for tests of exactness and not for speed.
#ifndef CKERNELS_ELEMENTARY_DOUBLE_H
#define CKERNELS_ELEMENTARY_DOUBLE_H

#include <math.h>

#include "multiversion.h"

INLINE double exp_double(double x) { return exp(x); }
INLINE double exp_of_weight_double(double x) { return exp(x); }
INLINE double tanh_double(double x) { return tanh(x); }
INLINE double logistic_double(double x) { return 1.0 / (1.0 + exp(-x)); }

// Φ(x) and √(2π) times its density; erfc keeps the lower tail accurate relative to itself.
INLINE double normal_distribution_double(double x, double *density) {
  *density = exp(-0.5 * x * x);
  return 0.5 * erfc(-0.70710678118654752440 * x);
}

INLINE double log1p_of_unit_double(double u) { return log1p(u); }
INLINE double sqrt_double(double x) { return sqrt(x); }
INLINE double fabs_double(double x) { return fabs(x); }

#endif
