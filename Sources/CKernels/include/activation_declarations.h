// Passes over what layers hand on and keep. Included by CKernels.h once for each format that it is kept in; not a header of its own. STORED is
// that format, REAL the one of arithmetic and of what stays in it: parameters, sums, statistics, and a tile of a product before it is stored.

// -- Layers

/// y = residual + f(y + bias) on a rows × columns block. `bias` has `columns` entries or is NULL. `slopes` is NULL or
/// receives f′(y + bias), for the gelus and silu alone. `residual` is NULL or is added last.
void NAME(ckernels_activate)(ckernels_function function, size_t rows, size_t columns, REAL *y, size_t stride,
                             const REAL *bias, STORED *slopes, size_t slopes_stride, const STORED *residual,
                             size_t residual_stride);

/// gradient = gradient · f′ on a rows × columns block. `kept` is f's result for relu and tanh, its derivative for
/// the gelus and silu, unused for the identity. `column_sums` is NULL or receives the sums over rows of the result, a part of the
/// gradient of a bias.
void NAME(ckernels_activate_backward)(ckernels_function function, size_t rows, size_t columns, STORED *gradient,
                                      size_t stride, const STORED *kept, size_t kept_stride, double *column_sums);

/// Hands a gradient on unchanged, in one pass: copies it (adds it if `accumulates`) unless `copy` is NULL, and writes
/// its sums over rows unless `column_sums` is NULL.
void NAME(ckernels_pass_gradient)(size_t rows, size_t columns, const STORED *gradient, size_t stride, STORED *copy,
                                  size_t copy_stride, bool accumulates, double *column_sums);

/// y = silu(gate) ⊙ up.
void NAME(ckernels_gate)(size_t rows, size_t columns, const STORED *gate, size_t gate_stride, const STORED *up,
                         size_t up_stride, STORED *y, size_t stride);

/// The gradients of `ckernels_gate`'s arguments; each is added if it accumulates, and NULL if nobody needs it.
void NAME(ckernels_gate_backward)(size_t rows, size_t columns, const STORED *gradient, size_t stride, const STORED *gate,
                                  size_t gate_stride, const STORED *up, size_t up_stride, STORED *gate_gradient,
                                  size_t gate_gradient_stride, bool gate_accumulates, STORED *up_gradient,
                                  size_t up_gradient_stride, bool up_accumulates);

// -- Rotary positions

/// Turns coordinates (i, i + half) of each of `heads` heads by the sum of two angles, whose cosines (`half` of them)
/// and, after those, sines are given; backwards if `reverses`. Added to y if `accumulates`.
void NAME(ckernels_rotate)(size_t heads, size_t half, const STORED *x, const double *coarse, const double *fine,
                           bool reverses, STORED *y, bool accumulates);

// -- Pooling

/// y = the average of the rows, summed in double.
void NAME(ckernels_average_rows)(size_t rows, size_t columns, const STORED *x, size_t stride, STORED *y);

/// y = factor · x, added to y if `accumulates`.
void NAME(ckernels_put_scaled)(size_t count, REAL factor, const STORED *x, STORED *y, bool accumulates);

// -- Whole arrays

/// Σ x², accumulated in double.
double NAME(ckernels_sum_of_squares)(size_t count, const STORED *x);
