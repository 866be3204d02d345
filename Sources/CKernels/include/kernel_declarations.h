// Included by CKernels.h once with REAL float and once with REAL double; not a header of its own.

// -- Layers

/// y = residual + f(y + bias) on a rows × columns block. `bias` has `columns` entries or is NULL. `slopes` is NULL or
/// receives f′(y + bias), for the gelus and silu alone. `residual` is NULL or is added last.
void NAME(ckernels_activate)(ckernels_function function, size_t rows, size_t columns, REAL *y, size_t stride,
                             const REAL *bias, REAL *slopes, size_t slopes_stride, const REAL *residual,
                             size_t residual_stride);

/// gradient = gradient · f′ on a rows × columns block. `kept` is f's result for relu and tanh, its derivative for
/// the gelus and silu, unused for the identity. `column_sums` is NULL or receives the sums over rows of the result, a part of the
/// gradient of a bias.
void NAME(ckernels_activate_backward)(ckernels_function function, size_t rows, size_t columns, REAL *gradient,
                                      size_t stride, const REAL *kept, size_t kept_stride, double *column_sums);

/// Hands a gradient on unchanged, in one pass: copies it (adds it if `accumulates`) unless `copy` is NULL, and writes
/// its sums over rows unless `column_sums` is NULL.
void NAME(ckernels_pass_gradient)(size_t rows, size_t columns, const REAL *gradient, size_t stride, REAL *copy,
                                  size_t copy_stride, bool accumulates, double *column_sums);

/// sums = Σ over the rows of partial (pieces × columns), in order; added to what is there if `accumulates`.
void NAME(ckernels_total_columns)(size_t pieces, size_t columns, const double *partial, size_t stride, REAL *sums,
                                  bool accumulates);

/// y = silu(gate) ⊙ up.
void NAME(ckernels_gate)(size_t rows, size_t columns, const REAL *gate, size_t gate_stride, const REAL *up,
                         size_t up_stride, REAL *y, size_t stride);

/// The gradients of `ckernels_gate`'s arguments; each is added if it accumulates, and NULL if nobody needs it.
void NAME(ckernels_gate_backward)(size_t rows, size_t columns, const REAL *gradient, size_t stride, const REAL *gate,
                                  size_t gate_stride, const REAL *up, size_t up_stride, REAL *gate_gradient,
                                  size_t gate_gradient_stride, bool gate_accumulates, REAL *up_gradient,
                                  size_t up_gradient_stride, bool up_accumulates);

// -- Norms

/// y = (x − mean) · rstd ⊙ gain + shift over each row, rstd = 1/√(variance + epsilon). `statistics` is NULL or receives
/// mean and rstd of each row.
void NAME(ckernels_layer_norm)(size_t rows, size_t columns, const REAL *x, size_t x_stride, const REAL *gain,
                               const REAL *shift, REAL epsilon, REAL *y, size_t stride, REAL *statistics,
                               size_t statistics_stride);

/// From ∂L/∂y to ∂L/∂x (added if `accumulates`; NULL if nobody needs it) and to what these rows add to the gradients of
/// gain and of shift: `column_sums`, 2 × columns, NULL if they are not trained.
void NAME(ckernels_layer_norm_backward)(size_t rows, size_t columns, const REAL *gradient, size_t stride, const REAL *x,
                                        size_t x_stride, const REAL *statistics, size_t statistics_stride,
                                        const REAL *gain, REAL *x_gradient, size_t x_gradient_stride, bool accumulates,
                                        double *column_sums);

/// y = x · scale over each row, scale = 1/√(mean of squares + epsilon). `scales` is NULL or receives it.
void NAME(ckernels_rms_norm)(size_t rows, size_t columns, const REAL *x, size_t x_stride, REAL epsilon, REAL *y,
                             size_t stride, REAL *scales, size_t scales_stride);

/// From ∂L/∂y to ∂L/∂x, added if `accumulates`.
void NAME(ckernels_rms_norm_backward)(size_t rows, size_t columns, const REAL *gradient, size_t stride, const REAL *y,
                                      size_t y_stride, const REAL *scales, size_t scales_stride, REAL *x_gradient,
                                      size_t x_gradient_stride, bool accumulates);

// -- Attention. Row r of a block of scores looks at its first min(columns, first + step·r) columns; the others get
// weight 0.

/// scores → exp(scores − the row's largest), the sum's reciprocal in `inverses`, and unless NULL the logarithm of
/// Σ exp(score) in `logarithms`.
void NAME(ckernels_attention_weights)(size_t rows, size_t columns, size_t first, size_t step, REAL *scores,
                                      size_t stride, REAL *inverses, REAL *logarithms, size_t logarithms_stride);

/// scores → the weights p = exp(score − logarithm); ∂L/∂p → ∂L/∂score = p (∂L/∂p − Σ p ∂L/∂p).
void NAME(ckernels_attention_weights_backward)(size_t rows, size_t columns, size_t first, size_t step, REAL *scores,
                                               size_t stride, REAL *gradients, size_t gradients_stride,
                                               const REAL *logarithms, size_t logarithms_stride);

/// Each row times its factor.
void NAME(ckernels_scale_rows)(size_t rows, size_t columns, REAL *x, size_t stride, const REAL *factors);

/// Turns coordinates (i, i + half) of each of `heads` heads by the sum of two angles, whose cosines (`half` of them)
/// and, after those, sines are given; backwards if `reverses`. Added to y if `accumulates`.
void NAME(ckernels_rotate)(size_t heads, size_t half, const REAL *x, const double *coarse, const double *fine,
                           bool reverses, REAL *y, bool accumulates);

// -- Pooling

/// y = the average of the rows, summed in double.
void NAME(ckernels_average_rows)(size_t rows, size_t columns, const REAL *x, size_t stride, REAL *y);

/// y = factor · x, added to y if `accumulates`.
void NAME(ckernels_put_scaled)(size_t count, REAL factor, const REAL *x, REAL *y, bool accumulates);

// -- Losses. Each returns the sum of the losses and writes scale · ∂(that sum)/∂outputs.

/// −log softmax(row)[label] over rows. Every label must be below classes; a row with a negative one
/// counts nothing and gets gradient 0.
double NAME(ckernels_softmax_cross_entropy)(size_t rows, size_t classes, const REAL *outputs, const int32_t *labels,
                                            REAL scale, REAL *gradient);

/// Binary cross-entropy on logits over the entries whose target is not NaN; the others get gradient 0.
double NAME(ckernels_binary_cross_entropy)(size_t count, const REAL *outputs, const REAL *targets, REAL scale,
                                           REAL *gradient);

/// (output − target)² over the entries whose target is not NaN; the others get gradient 0.
double NAME(ckernels_squared_error)(size_t count, const REAL *outputs, const REAL *targets, REAL scale,
                                    REAL *gradient);

// -- Optimizers. `clip` multiplies the gradient as it is read.

/// torch.optim.SGD: g = clip·gradient + decay·w; buffer = momentum·buffer + g; w -= rate·(nesterov ? g + momentum·buffer
/// : buffer). Without momentum `buffer` is NULL and w -= rate·g.
void NAME(ckernels_sgd)(size_t count, REAL *weights, const REAL *gradient, REAL *buffer, REAL clip, REAL rate,
                        REAL momentum, bool nesterov, REAL decay);

/// torch.optim.AdamW: w *= shrink; m += weight1·(g − m), v = beta2·v + weight2·g² with g = clip·gradient;
/// w -= step_size·m / (√v / root + epsilon). shrink = 1 − rate·decay, weight1 = 1 − beta1, weight2 = 1 − beta2,
/// step_size = rate / (1 − beta1ᵗ), root = √(1 − beta2ᵗ); the differences are the caller's, who has them in double.
void NAME(ckernels_adamw)(size_t count, REAL *weights, const REAL *gradient, REAL *moment1, REAL *moment2, REAL clip,
                          REAL shrink, REAL weight1, REAL beta2, REAL weight2, REAL epsilon, REAL step_size, REAL root);

/// buffer = momentum·buffer + clip·gradient; direction = clip·gradient + momentum·buffer. Returns the sum of squares of
/// the direction.
double NAME(ckernels_nesterov_direction)(size_t count, const REAL *gradient, REAL *buffer, REAL *direction, REAL clip,
                                         REAL momentum);

/// w -= rate·(scale·direction + decay·w).
void NAME(ckernels_decoupled_step)(size_t count, REAL *weights, const REAL *direction, REAL rate, REAL scale,
                                   REAL decay);

// -- Whole arrays

/// Σ x², accumulated in double.
double NAME(ckernels_sum_of_squares)(size_t count, const REAL *x);

/// Whether no entry is NaN or infinite.
bool NAME(ckernels_all_finite)(size_t count, const REAL *x);

/// x *= factor.
void NAME(ckernels_scale)(size_t count, REAL *x, REAL factor);

/// y = a·x + b·y.
void NAME(ckernels_combine)(size_t count, REAL a, const REAL *x, REAL b, REAL *y);

// -- Elementary functions over arrays, for the accuracy tests.
void NAME(ckernels_exp)(size_t count, const REAL *x, REAL *y);
void NAME(ckernels_exp_of_weight)(size_t count, const REAL *x, REAL *y);
void NAME(ckernels_tanh)(size_t count, const REAL *x, REAL *y);
void NAME(ckernels_normal_distribution)(size_t count, const REAL *x, REAL *y);
void NAME(ckernels_log1p_of_unit)(size_t count, const REAL *x, REAL *y);
