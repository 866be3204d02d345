import Models

/// What would lower an attack's success on a deployment, in words: it has no job to change, and what it has of one it keeps until it is made anew.
struct DeploymentAdvice {
  /// What the model is, and how it is masked.
  let traits: JobTraits

  func text(on attack: AttackKind) -> String {
    guard traits.strength != .none else {
      return "Nothing is masked in this deployment. \(stronger ?? "Its layers allow no key on the rows.")"
    }
    switch attack {
    case .knownRows:
      let ends = "Do not ask about what the host may know in the clear. \(Advice.noiseStays); \(Self.whereNoiseIs)."
      return traits.inputGroup == .orthogonal ? ends : "A permutation falls to a few rows. \(larger) \(ends)"
    case .spectralAlignment, .sourceSeparation:
      guard traits.inputGroup == .orthogonal else {
        return "A permutation leaves every value as it is. \(larger)"
      }
      return "\(Advice.noiseHidesColumns); \(Self.whereNoiseIs)."
    case .linkage: return "\(Advice.keysKeepDistances) It is that of the model's job (masking.noise)."
    case .baseWeights: return Self.checkpoint
    case .tokenMatching: return tokens
    case .repeatedQuestions:
      return
        "Ask a question once and keep its answer. Noise on the inputs is another for each question; it has to be of the columns' deviation to hide "
        + "which are the same, and costs accuracy; \(Self.whereNoiseIs)."
    case .copies:
      return
        "Nothing in a deployment helps: whoever has a client's key and is in league with the host opens the questions of all. Admit only clients that "
        + "may know each other's questions, and have the model hosted by several hosts where they may not."
    case .generationCache:
      return
        "Nothing in a deployment helps: sampling less greedily makes each step say less, and more steps say as much. Generate at the client what must "
        + "not be read."
    case .labelInference, .matchingGame, .modelMembership: return "A deployment is only asked."
    }
  }

  private static let whereNoiseIs = "it is that of the model's job (masking.noise)"
  private static let checkpoint =
    "Nothing in a deployment helps where the host has the checkpoint: its weights read the token vectors at every block, and the masked ones give "
    + "the key away. Deploy a model whose weights the host does not have."

  private var stronger: String? {
    traits.strongerMasking.map { strength in
      let gain = strength == .rotation ? "A rotation hides values, though no distances: deploy" : "Deploy"
      return "\(gain) the model anew with --strength \(strength.rawValue)."
    }
  }

  private var larger: String { stronger ?? "The model’s layers allow no more on the rows." }

  private var tokens: String {
    if traits.baseModel == .public {
      return
        "\(Self.checkpoint) Noise of the token vectors' own size makes some of them unreadable; it does not hide the text."
    }
    let order =
      traits.canShuffleTokens
      ? "\(Advice.orderHidesNeighbours) (masking.shuffle_tokens of the model's job), and costs nothing."
      : traits.shufflesTokens ? "The order of tokens is secret already." : "A decoder needs its tokens in their order."
    return "\(order) \(Advice.noiseHidesTokens), at a cost in accuracy; \(Self.whereNoiseIs)."
  }
}
