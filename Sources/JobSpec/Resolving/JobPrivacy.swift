import Models

/// The settings of differential privacy that a job and a charter share.
struct PrivacyFields {
  /// Noise is added in 32-bit floats; with a smaller clip it would come near those that lack digits, or are rounded to 0.
  private static let smallestClip = 1e-12

  let clipNorm: JobField<Double>
  let epsilon: JobField<Double>
  let delta: JobField<Double>

  /// - Parameters:
  ///   - section: that holds them.
  ///   - document: of the section.
  ///   - clipped: whose norm is bounded.
  init(in section: String, of document: String, clipped: String) {
    clipNorm = .number(
      "\(section).clip_norm", NumberRange(lower: Self.smallestClip, upper: 1_000_000),
      default: .derived("required in `privacy`"), "Largest norm of \(clipped): larger ones are scaled down to it.")
    epsilon = .number(
      "\(section).epsilon", NumberRange(lower: 0, upper: 1000, excludesLower: true),
      default: .derived("required in `privacy`"),
      "ε of the whole run; the noise follows from it. A \(document) whose ε no noise keeps to is refused.")
    delta = .number(
      "\(section).delta", NumberRange(lower: 0, upper: 1, excludesLower: true, excludesUpper: true),
      default: .derived("required in `privacy`"), "δ of the whole run.")
  }
}

extension JobFields {
  private static let privacy = PrivacyFields(
    in: "privacy", of: "job", clipped: "one record's gradient, of all trained weights together")
  static let privacyUnit = JobField<PrivacyTarget.Unit>.choice(
    "privacy.unit", among: [.record], default: .value(.record), "Whose presence is hidden: one record's.")
  static let privacyClip = privacy.clipNorm
  static let epsilon = privacy.epsilon
  static let delta = privacy.delta
}

extension JobSpecification {
  /// What the job says of differential privacy; nil where it says nothing.
  ///
  /// - Throws: `contradiction` for what noise could not cover, or not be put to.
  func resolvedJobPrivacy(
    task: LearningTask, loss: LossLocation, standardizes: Bool, train: JobTraining, optimizer: OptimizerDescription
  ) throws(JobSpecError) -> PrivacyTarget? {
    let fields = [JobFields.privacyUnit.path, JobFields.privacyClip.path, JobFields.epsilon.path, JobFields.delta.path]
    guard fields.contains(where: { written[$0] != nil }) else { return nil }
    func refused(_ path: String, _ what: String) -> JobSpecError {
      contradiction(path, "`privacy` with \(what)")
    }
    if task == .survival {
      throw refused(
        JobFields.task.path,
        "`task: survival`: its loss compares the rows of a batch, so that none has a gradient of its own that could be clipped"
      )
    }
    if loss == .trainer {
      throw refused(
        JobFields.lossLocation.path,
        "`loss.where: trainer`: the trainer would have the order of all batches before it starts, and ε counts on batches that you draw "
          + "in secret step by step; use owner")
    }
    if standardizes {
      throw refused(
        JobFields.standardize.path,
        "`data.standardize: true`: means and deviations of the training rows are kept with the model and have no noise; scale the columns by "
          + "numbers that do not come from these rows, and leave it out")
    }
    if train.keep == .best {
      throw refused(JobFields.keep.path, "`train.keep: best`: the metrics that choose have no noise; use last")
    }
    if optimizer.clipNorm != nil {
      throw refused(
        JobFields.clipNorm.path, "`optimizer.clip_norm`: each record's gradient is clipped already; delete it")
    }
    try checkClippedPrecision(train.precision, "`privacy`")
    return PrivacyTarget(
      unit: try value(JobFields.privacyUnit), clipNorm: try required(JobFields.privacyClip),
      epsilon: try required(JobFields.epsilon), delta: try required(JobFields.delta))
  }
}

extension JobSpecification {
  /// Refuses what would bound a record's gradient less exactly than its noise is measured for.
  ///
  /// - Parameter clipping: which settings clip records, as the document says it.
  func checkClippedPrecision(_ precision: TrainingPrecision, _ clipping: String) throws(JobSpecError) {
    guard precision.narrowsValues else { return }
    throw contradiction(
      JobFields.precision.path,
      "\(clipping) with `train.precision: \(precision.rawValue)`: a record's gradient is clipped by the norm that values between layers give, "
        + "which are rounded to 8 bits, so that its own norm could be larger than the noise is made for; use float32 or bfloat16x3"
    )
  }
}

extension PrivacyTarget {
  var jobYAML: String {
    "privacy:\n  unit: \(unit.rawValue)\n  clip_norm: \(clipNorm)\n  epsilon: \(epsilon)\n  delta: \(delta)\n"
  }
}
