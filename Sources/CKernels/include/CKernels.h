// Kernels without allocation, state or thread of their own: elementwise ones, of one pass over memory each, and products of packed
// matrices (product_declarations.h).
//
// Every elementwise kernel exists as NAME_float and NAME_double, those of activations also as NAME_bfloat16, whose arithmetic is float's.
// Matrices are row-major; `stride` is the distance between rows in
// elements. A kernel's result is a function of its arguments alone (bits may differ between processor types, which
// contract multiply-adds differently, never between calls).
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// The function a layer applies to each coordinate.
typedef enum {
  CKERNELS_IDENTITY = 0,
  CKERNELS_RELU = 1,
  /// x Φ(x), Φ the normal distribution function (by erf, not the tanh approximation).
  CKERNELS_GELU = 2,
  /// x / (1 + exp(-x)).
  CKERNELS_SILU = 3,
  CKERNELS_TANH = 4,
  /// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))).
  CKERNELS_GELU_TANH = 5,
} ckernels_function;

/// Vector instructions, as bits of a set.
typedef enum {
  /// AVX2 and FMA.
  CKERNELS_AVX2 = 1,
  /// AVX-512 F, CD, BW, DQ and VL.
  CKERNELS_AVX512 = 2,
  /// AVX-512 as above, and products of bfloat16 pairs.
  CKERNELS_AVX512_BF16 = 4,
  /// The above, and tiles of bfloat16 pairs.
  CKERNELS_AMX_BF16 = 8,
} ckernels_feature;

/// Which of them this processor has and the operating system lets programs use. Asks Linux for the tiles' registers, which a process has
/// only from then on.
uint32_t ckernels_processor_features(void);

#include "product_declarations.h"

// -- Numbers of 16 bits, bfloat16, as their bits.

/// The nearest number, ties to even; NaN becomes a quiet NaN of the same sign.
uint16_t ckernels_bfloat16_of(float x);

/// The same of many; the memory must not overlap.
void ckernels_round_to_bfloat16(size_t count, const float *x, uint16_t *y);

/// The same numbers as float; the memory must not overlap.
void ckernels_widen_bfloat16(size_t count, const uint16_t *x, float *y);

/// Whether no entry is NaN or infinite.
bool ckernels_all_finite_bfloat16(size_t count, const uint16_t *x);

#define REAL float
#define NAME(base) base##_float
#include "kernel_declarations.h"
#define STORED float
#include "activation_declarations.h"
#define SOURCE STORED
#include "norm_declarations.h"
#undef SOURCE
#undef STORED
#undef NAME

#define STORED uint16_t
#define NAME(base) base##_bfloat16
#include "activation_declarations.h"
#define SOURCE STORED
#include "norm_declarations.h"
#undef SOURCE
#undef NAME

// From floats to numbers of 16 bits, and back.
#define SOURCE float
#define NAME(base) base##_bfloat16_of_float
#include "norm_declarations.h"
#undef SOURCE
#undef STORED
#undef REAL
#undef NAME

#define REAL double
#define NAME(base) base##_double
#include "kernel_declarations.h"
#define STORED double
#include "activation_declarations.h"
#define SOURCE STORED
#include "norm_declarations.h"
#undef SOURCE
#undef STORED
#undef REAL
#undef NAME

#endif
