#include "CKernels.h"
#include "bfloat16.h"
#include "elementary_double.h"
#include "elementary_float.h"
#include "multiversion.h"

#define SOURCE STORED
#define LOAD_SOURCE(x) LOAD(x)
#define STORE_SOURCE(x) STORE(x)
#define ADD_SOURCE(target, x) ADD(target, x)
#define KERNELS "norms.inc"
#include "each_storage.h"
#undef SOURCE
#undef LOAD_SOURCE
#undef STORE_SOURCE
#undef ADD_SOURCE

// From floats to numbers of 16 bits, and back.
#define SOURCE float
#define LOAD_SOURCE(x) (x)
#define STORE_SOURCE(x) (x)
#define ADD_SOURCE(target, x) (target) += (x)
#define STORED uint16_t
#define REAL float
#define LOAD(x) number_of_bits((uint32_t)(x) << 16)
#define STORE(x) (uint16_t)rounded_to_bfloat16(x, false)
#define NAME(base) base##_bfloat16_of_float
#define MATH(base) base##_float
#include "norms.inc"
