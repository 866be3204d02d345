import Architecture
package import Exposure

/// What would lower an attack's success, and how this job would say it.
package struct Advice: Sendable, Equatable {
  package let text: String
  /// Lines of the job: "masking.noise.sigma=0.1". Empty where nothing in a job helps.
  package let changes: [String]

  private init(_ text: String, _ changes: [String] = []) {
    self.text = text
    self.changes = changes
  }

  package init(on attack: AttackKind, for job: JobTraits) {
    guard job.strength != .none else {
      self.init("Nothing is masked in this job.", ["masking.strength=rotation"])
      return
    }
    switch attack {
    case .knownRows: self = Self.knownRows(job)
    case .spectralAlignment, .sourceSeparation, .linkage, .matchingGame: self = Self.geometry(attack, job)
    case .baseWeights, .tokenMatching: self = Self.checkpoint(job)
    case .labelInference:
      self.init(
        job.lossLocation == .trainer
          ? "Masked class labels are their clusters. With the loss at the owner only gradients are seen, which cluster less cleanly; nothing hides "
            + "them altogether."
          : "Gradients are what training is made of: rows of one label have like ones. Fewer epochs show fewer of them; nothing in a job hides it.",
        job.lossLocation == .trainer ? ["loss.where=owner"] : [])
    case .modelMembership:
      self.init(
        "Do not publish the model, or train it for fewer epochs and with weight decay; masking has no part in it.",
        ["train.epochs=\(max(1, job.epochs / 2))"])
    }
  }

  private static func knownRows(_ job: JobTraits) -> Advice {
    let larger = "Keep rows out of the job that others may have; split it into jobs, each with a key of its own"
    guard job.strength != .permutation else {
      return Advice(
        "A permutation falls to a few rows. \(larger), and ask for a rotation.", ["masking.strength=rotation"])
    }
    return Advice("\(larger); noise on the inputs keeps a row from being worked out exactly.", noise(job))
  }

  private static func geometry(_ attack: AttackKind, _ job: JobTraits) -> Advice {
    if job.strength == .permutation {
      return Advice(
        "A permutation leaves every value as it is. A rotation hides values, though no distances.",
        ["masking.strength=rotation"])
    }
    switch attack {
    case .linkage, .matchingGame:
      return Advice(
        "A fixed rotation keeps every distance. Only noise of the size of the distances between rows changes that, at a cost in accuracy.",
        noise(job))
    case .sourceSeparation where !job.readsTokens && job.adapterWidth == nil:
      return Advice(
        "Noise on the inputs makes them more like Gaussians, which cannot be separated; an adapter keeps the first layer's weights from helping.",
        noise(job) + ["masking.adapter.width=\(job.features)"])
    default:
      return Advice(
        "Noise on the inputs makes them more like Gaussians, which a rotation hides; fewer rows help too.", noise(job))
    }
  }

  private static func checkpoint(_ job: JobTraits) -> Advice {
    Advice(
      "Nothing in a job helps where the provider has the checkpoint: its weights read the token vectors at every block, and the masked ones "
        + "give the key away. Start from weights that the provider does not have.")
  }

  /// Twice the noise there is, or a tenth of a standardised column's deviation to begin with.
  private static func noise(_ job: JobTraits) -> [String] {
    ["masking.noise.sigma=\(job.noise.map { 2 * $0 } ?? 0.1)"]
  }
}
