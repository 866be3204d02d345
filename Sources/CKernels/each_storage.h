// Includes KERNELS once for each format that activations are kept in. Not a header of its own.
//   STORED   the format in memory
//   REAL     the format of arithmetic
//   LOAD(x)  a number of memory as REAL; STORE(x) the other way, rounded to nearest;
//            ADD(target, x) adds to a number in memory
//   NAME(base), MATH(base)  the kernel of this format, and the elementary function of REAL

#define STORED float
#define REAL float
#define LOAD(x) (x)
#define STORE(x) (x)
#define ADD(target, x) (target) += (x)
#define NAME(base) base##_float
#define MATH(base) base##_float
#include KERNELS
#undef STORED
#undef REAL
#undef NAME
#undef MATH

#define STORED double
#define REAL double
#define NAME(base) base##_double
#define MATH(base) base##_double
#include KERNELS
#undef STORED
#undef REAL
#undef LOAD
#undef STORE
#undef ADD
#undef NAME
#undef MATH

#define STORED uint16_t
#define REAL float
#define LOAD(x) number_of_bits((uint32_t)(x) << 16)
#define STORE(x) (uint16_t)rounded_to_bfloat16(x, false)
#define ADD(target, x) (target) = STORE(LOAD(target) + (x))
#define NAME(base) base##_bfloat16
#define MATH(base) base##_float
#include KERNELS
#undef STORED
#undef REAL
#undef LOAD
#undef STORE
#undef ADD
#undef NAME
#undef MATH
