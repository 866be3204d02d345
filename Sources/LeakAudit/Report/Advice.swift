import Models
import Foundation

/// What would lower an attack's success, and how this job would say it. Every change is one that the job's plan allows; how much it
/// lowers, another audit of the changed job says.
package struct Advice: Sendable, Equatable {
  package let text: String
  /// Lines of the job: "masking.noise.sigma=0.1", all of them together. Empty where nothing in a job helps.
  package let changes: [String]

  private init(_ text: String, _ changes: [String] = []) {
    self.text = text
    self.changes = changes
  }

  /// - Parameter deviation: of the plaintext's columns around their means, the root of the mean square; 0 or more.
  package init(on attack: AttackKind, for job: JobTraits, deviation: Double) {
    let noise = NoiseAdvice(job: job, deviation: deviation)
    guard job.strength != .none else {
      self = Self.masking(job)
      return
    }
    switch attack {
    case .knownRows: self = Self.knownRows(job, noise)
    case .spectralAlignment, .sourceSeparation: self = Self.columns(attack, job, noise)
    case .linkage, .matchingGame: self = Self.distances(attack, job, noise)
    case .baseWeights: self = Self.checkpoint(job)
    case .tokenMatching: self = Self.tokens(job, noise)
    case .labelInference: self = Self.labels(job)
    case .modelMembership:
      self.init(
        "Do not publish the model, or train it for fewer epochs. Keys change nothing here; noise on the inputs keeps single rows from being "
          + "learnt by heart, at a cost in accuracy.",
        noise.changes(1) + (job.epochs > 1 ? ["train.epochs=\(job.epochs / 2)"] : []))
    case .repeatedQuestions, .copies, .generationCache: self.init("A job is asked nothing.")
    }
  }

  static let noiseStays =
    "Noise on the inputs stays in what is worked out, a quarter of the columns' deviation as a quarter of their spread"
  static let noiseHidesColumns =
    "Noise of half a column's deviation keeps even a found column from matching to more than 0.9, at a cost in accuracy"
  static let noiseHidesTokens = "Noise keeps a token from having the same vector wherever it stands"
  static let orderHidesNeighbours = "A secret order of tokens keeps pairs of neighbours from being counted"
  static let keysKeepDistances =
    "Every key keeps lengths and distances. Noise of the columns' deviation adds to the square of a distance between rows as much as it is on "
    + "average; less leaves neighbours recognisable. It costs accuracy."

  private static func masking(_ job: JobTraits) -> Advice {
    guard let stronger = job.strongerMasking else {
      return Advice("Nothing is masked in this job, and its layers allow no key on the rows.")
    }
    // A transformer's job must say who has its checkpoint; an owner that alone has it changes this to private.
    let base = job.readsTokens && job.baseModel == nil ? ["masking.base_model=public"] : []
    return Advice("Nothing is masked in this job.", ["masking.strength=\(stronger.rawValue)"] + base)
  }

  private static func knownRows(_ job: JobTraits, _ noise: NoiseAdvice) -> Advice {
    let larger = "Keep rows out of the job that others may have; split it into jobs, each with a key of its own"
    guard job.inputGroup == .orthogonal else {
      return Advice(
        "A permutation falls to a few rows. \(rotation(job)) \(larger). \(noiseStays).",
        stronger(job) + noise.changes(0.25))
    }
    return Advice("\(larger). \(noiseStays).", noise.changes(0.25))
  }

  /// Columns found by a correlation above 0.9: with noise of s deviations a column correlates with itself at 1/√(1 + s²), below 0.9 from
  /// s = 0.48 on, whatever the attack.
  private static func columns(_ attack: AttackKind, _ job: JobTraits, _ noise: NoiseAdvice) -> Advice {
    guard job.inputGroup == .orthogonal else {
      return Advice("A permutation leaves every value as it is. \(rotation(job))", stronger(job) + noise.changes(0.5))
    }
    guard attack == .sourceSeparation, job.adapterWidth == nil, let units = job.firstLayerUnits,
      units > 2 * (job.features + 1 + job.padding)
    else { return Advice(noiseHidesColumns + ".", noise.changes(0.5)) }
    // Only a first layer of so many units is open to separation; an adapter's zero columns would show.
    let padding = job.padding > 0 ? ["masking.padding=0"] : []
    return Advice(
      "The first layer has more than twice as many units as the rows have columns, and its starting weights give the key away: an adapter "
        + "keeps them from the rows. \(noiseHidesColumns).",
      ["masking.adapter.width=\(job.features)"] + padding + noise.changes(0.5))
  }

  private static func distances(_ attack: AttackKind, _ job: JobTraits, _ noise: NoiseAdvice) -> Advice {
    if attack == .linkage {
      return Advice(keysKeepDistances, noise.changes(1))
    }
    return Advice(
      "Every key keeps what sets of rows have in common, and noise that hides a row averages out over a set: only noise several times as "
        + "large as the columns' deviation changes it, and little is learnt from such rows.", noise.changes(4))
  }

  private static func checkpoint(_ job: JobTraits) -> Advice {
    Advice(
      "Nothing in a job helps where the provider has the checkpoint: its weights read the token vectors at every block, and the masked ones "
        + "give the key away. Start from weights that the provider does not have.")
  }

  private static func tokens(_ job: JobTraits, _ noise: NoiseAdvice) -> Advice {
    if job.baseModel == .public {
      return Advice(
        checkpoint(job).text
          + " Noise of the token vectors' own size makes some of them unreadable; it does not hide the text.",
        noise.changes(1))
    }
    guard job.canShuffleTokens else {
      let order =
        job.shufflesTokens ? "The order of tokens is secret already." : "A decoder needs its tokens in their order."
      return Advice("\(order) \(noiseHidesTokens), at a cost in accuracy.", noise.changes(1))
    }
    return Advice(
      "\(orderHidesNeighbours), and costs nothing. \(noiseHidesTokens), at a cost in accuracy.",
      ["masking.shuffle_tokens=true"] + noise.changes(1))
  }

  private static func labels(_ job: JobTraits) -> Advice {
    guard job.lossLocation == .trainer else {
      return Advice(
        "Gradients are what training is made of: rows of one label have like ones. Fewer epochs show fewer of them; nothing in a job "
          + "hides it.")
    }
    return Advice(
      "Masked labels are their clusters. With the loss at the owner only gradients are seen; that does not hide them altogether.",
      ["loss.where=owner"])
  }

  private static func rotation(_ job: JobTraits) -> String {
    if job.strongerMasking == .rotation { return "A rotation hides values, though no distances." }
    guard job.optimizer.traits.largestGroup < .orthogonal else {
      return "The model’s layers allow no more on the rows."
    }
    let others = OptimizerDescription.Kind.allCases.filter { $0.traits.largestGroup == .orthogonal }.map(\.rawValue)
    return "\(job.optimizer.rawValue) allows no more; \(others.joined(separator: " and ")) may."
  }

  private static func stronger(_ job: JobTraits) -> [String] {
    job.strongerMasking.map { ["masking.strength=\($0.rawValue)"] } ?? []
  }
}

/// Noise in the size of a job's own data.
struct NoiseAdvice {
  /// As `masking.noise.sigma` allows.
  private static let largest = 1000.0

  let job: JobTraits
  /// Of the plaintext's columns, the root of the mean square.
  let deviation: Double

  /// Noise of `share` deviations, or twice what there is where that is no less already. No change where neither is possible.
  func changes(_ share: Double) -> [String] {
    guard deviation.isFinite, deviation > 0 else { return [] }
    let present = job.noise ?? 0
    var wanted = share * deviation
    var lines: [String] = []
    if wanted > Self.largest {
      // In the units of the file it would be out of range; standardised columns have deviation 1.
      guard job.canStandardize else { return [] }
      lines = ["data.standardize=true"]
      wanted = share
    } else if wanted <= present {
      wanted = 2 * present
    }
    guard let sigma = Double(String(format: "%.2g", min(wanted, Self.largest))), sigma.isNormal,
      sigma > present || !lines.isEmpty
    else { return [] }
    return lines + ["masking.noise.sigma=\(sigma)"]
  }
}
