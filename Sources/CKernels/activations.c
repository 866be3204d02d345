#include "CKernels.h"
#include "bfloat16.h"
#include "elementary_double.h"
#include "elementary_float.h"
#include "multiversion.h"

#define KERNELS "activations.inc"
#include "each_storage.h"
