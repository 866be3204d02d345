import Cryptography
package import JobSpec
import Masking
package import Privacy
package import Protocol
package import Training

/// The differential privacy of a job, worked out: the noise that keeps to its ε, and what batches and noise are drawn from.
///
/// Both secrets are expanded from the run's master key, which is in `state/job.key` alone, for one `NoiseSubject`: a resumed run draws the same
/// batches and noise. The trainer is sent the noise's, from which the batches' cannot be told.
package struct JobPrivacy: Sendable {
  package let target: PrivacyTarget
  /// C and B.
  package let clipping: SampleClipping
  /// σ, and ε of all steps with it.
  package let calibration: NoiseCalibration
  /// σ.
  package var noiseMultiplier: Double { calibration.noiseMultiplier }
  /// What the accountants count: σ, q = B/N and the steps.
  package let mechanism: SubsampledGaussian
  /// Over the slots of the rows that are trained on.
  package let sampling: PoissonSampling
  package let seed: NoiseSeed
  /// Digest of the `NoiseSubject` that batches and noise are drawn for; nil where the key is made for them alone.
  package let subject: String?

  /// - Parameters:
  ///   - rows: N, that are trained on.
  ///   - expectedBatch: B.
  ///   - steps: of the whole run.
  ///   - found: σ of a run that has begun, from its ledger; nil to find the least that keeps to ε.
  ///   - master: what batches and noise are drawn from.
  /// - Throws: `OwnerError.unfitJob` where B is above N, `.run` where the σ given does not keep to ε; `PrivacyError` where none does.
  init(
    _ target: PrivacyTarget, rows: Int, expectedBatch: Int, steps: Int, found: Double? = nil, master: MasterKey
  ) throws {
    guard expectedBatch <= rows else {
      throw OwnerError.unfitJob(
        "privacy: `train.batch` × `train.accumulate` (\(expectedBatch)) is more than the \(rows) rows that are trained on, so that a row would "
          + "be drawn with a probability above 1; make the batch smaller")
    }
    let sampling = try Self.sampling(master, subject: nil, rows: rows, expectedBatch: expectedBatch)
    let calibration =
      try found.map {
        try NoiseCalibration(found: $0, delta: target.delta, sampleRate: sampling.rate, steps: steps)
      } ?? NoiseCalibration(epsilon: target.epsilon, delta: target.delta, sampleRate: sampling.rate, steps: steps)
    guard calibration.spent.epsilon <= target.epsilon else {
      throw OwnerError.run(
        "the whole run would spend ε \(calibration.spent.epsilon) at δ \(target.delta) with the noise of its ledger, more than the job's "
          + "\(target.epsilon); restore ledger.jsonl, or begin anew with another --out")
    }
    try self.init(
      target, SampleClipping(clipNorm: target.clipNorm, expectedBatch: Double(expectedBatch)), calibration,
      SubsampledGaussian(
        noiseMultiplier: calibration.noiseMultiplier, sampleRate: sampling.rate, steps: steps),
      sampling, master, subject: nil)
  }

  private init(
    _ target: PrivacyTarget, _ clipping: SampleClipping, _ calibration: NoiseCalibration,
    _ mechanism: SubsampledGaussian, _ sampling: PoissonSampling, _ master: MasterKey,
    subject: String?
  ) throws {
    let secret = master.privacySecret.derived(Self.purpose("noise", of: subject))
    guard let seed = secret.withUnsafeBytes({ NoiseSeed(Array($0)) }) else {
      throw OwnerError.run("the run's key gives no seed of the noise")
    }
    self.target = target
    self.clipping = clipping
    self.calibration = calibration
    self.mechanism = mechanism
    self.sampling = sampling
    self.seed = seed
    self.subject = subject
  }

  /// The same with batches and noise of another key, for a subject of this digest.
  func drawn(from master: MasterKey, for subject: String) throws -> JobPrivacy {
    try JobPrivacy(
      target, clipping, calibration, mechanism,
      Self.sampling(master, subject: subject, rows: sampling.rows, expectedBatch: sampling.expectedBatch), master,
      subject: subject)
  }

  private static func sampling(
    _ master: MasterKey, subject: String?, rows: Int, expectedBatch: Int
  ) throws -> PoissonSampling {
    try PoissonSampling(
      secret: master.privacySecret.derived(purpose("batches", of: subject)), context: "job", rows: rows,
      expectedBatch: expectedBatch)
  }

  private static func purpose(_ name: String, of subject: String?) -> String {
    subject.map { "\(name)/\($0)" } ?? name
  }

  /// As the trainer is told it.
  var description: StepPrivacy {
    StepPrivacy(
      clipNorm: clipping.clipNorm, expectedBatch: sampling.expectedBatch,
      noiseMultiplier: calibration.noiseMultiplier, seed: seed)
  }
}

/// What a private run spends: in the plan before it, and in `privacy.json` after it.
package struct JobPrivacyReport: Sendable, Equatable, Codable {
  private enum CodingKeys: String, CodingKey {
    case unit, steps, delta, epsilon, counted, covers
    case clipNorm = "clip_norm"
    case noiseMultiplier = "noise_multiplier"
    case sampleRate = "sample_rate"
    case expectedBatch = "expected_batch"
    case epsilonRenyi = "epsilon_renyi"
    case epsilonPrivacyLoss = "epsilon_privacy_loss"
    case doesNotCover = "does_not_cover"
  }

  package let unit: String
  package let clipNorm: Double
  package let noiseMultiplier: Double
  package let sampleRate: Double
  package let expectedBatch: Int
  /// Optimizer steps that are counted.
  package let steps: Int
  package let delta: Double
  /// What counts: the smaller of the two.
  package let epsilon: Double
  package let epsilonRenyi: Double
  /// Nil where the losses fit no grid.
  package let epsilonPrivacyLoss: Double?
  /// `renyi` or `privacyLoss`.
  package let counted: String
  package let covers: String
  package let doesNotCover: String

  private static let coverage =
    "what anybody who has the model, of any step or of all, learns of any one record that was trained on; provided that the trainer adds the "
    + "noise and keeps its seed to itself"
  /// What a guarantee of one record takes as given, in words: the same for a job and for a site of a federation.
  package static let givenSplit =
    "which rows are trained on: of two runs that are compared one has a training row more, and all others are the same; with a random split "
    + "(data.split.validation) one row more in the file is another split, with by or validation_rows each row's side is its own"
  private static let gaps =
    "the provider, which sees masked rows and knows the noise; validation metrics and losses, which have no noise and are for the owner alone; "
    + "\(givenSplit); that a run ends because its outputs are not finite; "
    + "validation rows; sizes, names of columns and classes, and how many rows there are"

  /// Of a run at its end: the larger number counts, so that a ledger that lacks steps makes no ε smaller.
  ///
  /// - Parameters:
  ///   - counted: steps in the ledger.
  ///   - taken: steps that the run has taken, from 1.
  /// - Throws: `PrivacyError`.
  package init(_ privacy: JobPrivacy, counted: Int, taken: Int) throws {
    let steps = max(counted, taken)
    self.init(
      privacy, steps: steps,
      spent: try steps == privacy.mechanism.steps
        ? privacy.calibration.spent
        : PrivacySpending.spent([privacy.mechanism.with(steps: steps)], delta: privacy.target.delta))
  }

  /// Of the whole run, before it.
  init(planned privacy: JobPrivacy) {
    self.init(privacy, steps: privacy.mechanism.steps, spent: privacy.calibration.spent)
  }

  private init(_ privacy: JobPrivacy, steps: Int, spent: PrivacySpent) {
    unit = privacy.target.unit.rawValue
    clipNorm = privacy.target.clipNorm
    noiseMultiplier = privacy.mechanism.noiseMultiplier
    sampleRate = privacy.mechanism.sampleRate
    expectedBatch = privacy.sampling.expectedBatch
    self.steps = steps
    delta = spent.delta
    epsilon = spent.epsilon
    epsilonRenyi = spent.renyi.improved
    epsilonPrivacyLoss = spent.privacyLoss?.upper
    counted = spent.counted.rawValue
    covers = Self.coverage
    doesNotCover = Self.gaps
  }
}

extension PrivacyTarget {
  /// What is to be said of a δ that is not below one over the number of those who are protected; nil for one that is.
  ///
  /// - Parameters:
  ///   - units: how many there are.
  ///   - called: what they are, in the plural.
  package func deltaNotice(_ units: Int, _ called: String) -> String? {
    guard delta * Double(units) >= 1 else { return nil }
    return
      "δ \(delta) is not below 1/\(units), with \(units) \(called): publishing one of them, drawn at random, would keep to such an ε and δ; take a δ well "
      + "below that"
  }
}
