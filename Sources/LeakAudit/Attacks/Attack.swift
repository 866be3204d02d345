import Synchronization

/// One way to learn something from what a provider sees. It is separated from the truth: `attempt` gets the view and the knowledge that
/// the attack states, and its claim is scored against the truth afterwards.
///
/// The same attempt is made on the unmasked view, where an attack that works must succeed.
package protocol Attack: Sendable {
  /// What the provider is assumed to know beside the view.
  associatedtype Knowledge
  /// What the attempt says it found out.
  associatedtype Claim

  static var facts: AttackFacts { get }

  /// What of the owner's truth and the public's knowledge this attack assumes; or why there is nothing to attack here.
  ///
  /// Chooses by `random` where it needs some of the rows.
  func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> Knowledge

  /// Works until it is done or `deadline` has passed, then claims what it has. Ask the deadline only while there is work left:
  /// it records a positive answer as an attempt that was cut short.
  ///
  /// - Throws: what shadow training throws; otherwise nothing.
  func attempt(
    on view: ProviderView, knowing knowledge: Knowledge, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws -> Claim

  func score(_ claim: Claim, truth: OwnerTruth) -> Measurement

  /// What the number means for this job, in a sentence.
  func meaning(of measurement: Measurement, evidence: Evidence) -> String
}

/// The attacks of an audit, in the order of its report.
package enum AttackKind: String, Sendable, Codable, CaseIterable {
  case knownRows = "known_rows"
  case spectralAlignment = "spectral_alignment"
  case sourceSeparation = "source_separation"
  case linkage
  case baseWeights = "base_weights"
  case tokenMatching = "token_matching"
  case labelInference = "label_inference"
  case matchingGame = "matching_game"
  case modelMembership = "model_membership"
  case repeatedQuestions = "repeated_questions"
  case copies
  case generationCache = "cache"

  /// Those that an audit of a job tries, and those that one of a deployment does: what is seen of training or only of questions.
  package static let ofJobs: [AttackKind] = [
    .knownRows, .spectralAlignment, .sourceSeparation, .linkage, .baseWeights, .tokenMatching, .labelInference,
    .matchingGame, .modelMembership,
  ]
  package static let ofDeployments: [AttackKind] = [
    .knownRows, .repeatedQuestions, .spectralAlignment, .sourceSeparation, .linkage, .baseWeights, .tokenMatching,
    .copies, .generationCache,
  ]
}

/// What a report says of an attack whatever its outcome.
package struct AttackFacts: Sendable {
  package let kind: AttackKind
  /// "Known rows".
  package let title: String
  /// What the provider is assumed to know.
  package let knowledge: String
  /// What `Measurement.value` is.
  package let metric: String
  /// Whether more of it is worse for the owner; false where it is what an attack needs or how far off it is.
  package let isWorseWhenHigher: Bool
  /// Published source: authors, year, section.
  package let source: String

  package init(
    kind: AttackKind, title: String, knowledge: String, metric: String, isWorseWhenHigher: Bool, source: String
  ) {
    self.kind = kind
    self.title = title
    self.knowledge = knowledge
    self.metric = metric
    self.isWorseWhenHigher = isWorseWhenHigher
    self.source = source
  }
}

/// An attack that is not tried on this job.
package struct Inapplicable: Error, Equatable {
  /// Why, as a sentence without its full stop.
  package let reason: String
  /// Whether the job holds nothing that the attack could find. Otherwise it might succeed, and was not measured: a limit on it is not met.
  package let hasNothingToFind: Bool

  /// What would have to be measured and was not: too few rows, too long a training.
  package init(_ reason: String) {
    self.reason = reason
    hasNothingToFind = false
  }

  /// The job lacks what the attack needs: tokens in a job of features, a public base where there is none.
  package init(nothingToFind reason: String) {
    self.reason = reason
    hasNothingToFind = true
  }
}

/// When an attempt has to stop, and whether it stopped before its work was done.
///
/// A loop asks `hasPassed` only while it has work left, so that true means that work was left out. The deadline records this itself, so
/// that no attack can forget to report it. Copies share the record.
package struct Deadline: Sendable {
  private final class Mark: Sendable {
    let isSet = Atomic<Bool>(false)
  }

  private let end: ContinuousClock.Instant
  private let mark: Mark

  package init(after duration: Duration) {
    self.init(end: ContinuousClock().now + duration, mark: Mark())
  }

  private init(end: ContinuousClock.Instant, mark: Mark) {
    self.end = end
    self.mark = mark
  }

  /// When this share of the time that is left from now on has passed. A part of an attempt that it cuts short cuts the attempt short.
  package func after(share: Double) -> Deadline {
    let now = ContinuousClock().now
    return Deadline(end: now + max(.zero, now.duration(to: end) * share), mark: mark)
  }

  /// Ask only while there is work left.
  package var hasPassed: Bool {
    guard ContinuousClock().now >= end else { return false }
    mark.isSet.store(true, ordering: .relaxed)
    return true
  }

  /// Whether it was found to have passed while there was work left.
  package var hasCutShort: Bool { mark.isSet.load(ordering: .relaxed) }
}

/// What one attempt amounts to.
package struct Measurement: Sendable, Equatable, Codable {
  /// The attack's metric; nil where the attempt reached no value, such as a number of rows beyond all that were tried.
  package var value: Double?
  /// Of the value, at 95 %, within the values that the metric can take; its upper end is infinite where no greater value was ruled out. Nil
  /// where nothing was drawn that could have come out otherwise, as for the error of one key, which is computed and not estimated.
  package var interval: Interval?
  /// What a guess without any knowledge reaches; nil where that is not on the metric's scale, as for a number of rows.
  package var chance: Double?
  /// Rows (or tokens, or records) that the attempt worked on.
  package var rows: Int
  /// Further figures by name, in order.
  package var details: [Detail]
  /// Where a curve says more than a number.
  package var curve: Curve?
  /// Whether the attempt's time was up before it was done: with more it might have found more.
  package var isCutShort = false

  package init(
    value: Double?, interval: Interval?, chance: Double?, rows: Int, details: [Detail] = [], curve: Curve? = nil
  ) {
    self.value = value
    self.interval = interval
    self.chance = chance
    self.rows = rows
    self.details = details
    self.curve = curve
  }

  package struct Detail: Sendable, Equatable, Codable {
    package var name: String
    package var value: Double

    package init(_ name: String, _ value: Double) {
      self.name = name
      self.value = value
    }
  }
}

/// A metric against what it depends on.
package struct Curve: Sendable, Equatable, Codable {
  package struct Point: Sendable, Equatable, Codable {
    package var x: Double
    package var y: Double

    package init(x: Double, y: Double) {
      self.x = x
      self.y = y
    }
  }

  /// "known rows".
  package var horizontal: String
  /// "relative error of the others".
  package var vertical: String
  /// Whether x grows by factors.
  package var isLogarithmic: Bool
  package var points: [Point]

  package init(horizontal: String, vertical: String, isLogarithmic: Bool, points: [Point]) {
    self.horizontal = horizontal
    self.vertical = vertical
    self.isLogarithmic = isLogarithmic
    self.points = points
  }
}
