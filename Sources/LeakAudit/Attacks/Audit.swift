import Models
import Foundations
package import Numerics

/// Runs every attack on what the trainer would see, and on the same unmasked, within a time.
package struct Audit {
  private struct Entry {
    let facts: AttackFacts
    /// Of the time, relative to the others.
    let share: Double
    let run: (Duration) -> AttackResult
  }

  private let evidence: Evidence
  private let compute: Compute
  /// Of the plaintext's columns, as `Advice` has it.
  private let deviation: Double

  package init(_ evidence: Evidence, compute: Compute) {
    self.evidence = evidence
    self.compute = compute
    let rows = evidence.truth.rows.converted(to: Double.self)
    let squares = rows.subtracting(rows.columnMeans).squaredNorms
    deviation = (squares.reduce(0, +) / Double(max(1, rows.count))).squareRoot()
  }

  /// An attack that fails with an error does not affect the others: it counts as not measured, and the error is the reason.
  ///
  /// - Parameters:
  ///   - duration: for all attacks together; each gets its share of what is left, so that time one does not need goes to the next.
  ///   - progress: the attack that begins, its number from 0, and how many there are.
  package func run(within duration: Duration, progress: (String, Int, Int) -> Void) -> [AttackResult] {
    let clock = ContinuousClock()
    let end = clock.now + duration
    let entries = self.entries
    var results: [AttackResult] = []
    for (number, entry) in entries.enumerated() {
      progress(entry.facts.title, number, entries.count)
      let left = entries[number...].reduce(0) { $0 + $1.share }
      results.append(entry.run(clock.now.duration(to: end) * (entry.share / left)))
    }
    return results
  }

  private var entries: [Entry] {
    (evidence.masked.deployment == nil ? AttackKind.ofJobs : AttackKind.ofDeployments).map(entry)
  }

  private func entry(_ kind: AttackKind) -> Entry {
    switch kind {
    case .knownRows: entry(KnownRows(compute: compute), share: 3)
    case .spectralAlignment: entry(SpectralAlignment(compute: compute), share: 3)
    case .sourceSeparation: entry(SourceSeparation(compute: compute), share: 4)
    case .linkage: entry(Linkage(compute: compute), share: 3)
    case .baseWeights: entry(BaseWeights(compute: compute), share: 3)
    case .tokenMatching: entry(TokenMatching(compute: compute), share: 3)
    case .labelInference: entry(LabelInference(compute: compute), share: 1)
    case .matchingGame: entry(MatchingGame(compute: compute), share: 1)
    case .modelMembership: entry(ModelMembership(), share: 5, seesMasking: false)
    case .repeatedQuestions: entry(RepeatedQuestions(compute: compute), share: 1)
    case .copies: entry(Copies(compute: compute), share: 4)
    case .generationCache: entry(GenerationCacheLinks(compute: compute), share: 1)
    }
  }

  /// - Parameter seesMasking: whether the outcome depends on keys at all; if not, one attempt stands for both.
  private func entry<Attempted: Attack>(_ attack: Attempted, share: Double, seesMasking: Bool = true) -> Entry {
    Entry(facts: Attempted.facts, share: share) { time in
      guard time > .zero else { return AttackResult(Attempted.facts, status: .outOfTime) }
      let clock = ContinuousClock()
      let start = clock.now
      var result = AttackResult(Attempted.facts, status: .measured)
      do {
        if !read(&result) { try measure(attack, within: time, seesMasking: seesMasking, &result) }
        advise(&result)
      } catch let inapplicable as Inapplicable {
        result.status = inapplicable.hasNothingToFind ? .inapplicable : .notMeasured
        result.reason = inapplicable.reason
      } catch {
        // Of shadow training that diverges, or a decomposition that does not converge; a gate on this attack is not met.
        result.status = .notMeasured
        result.reason = (error as? any Failure)?.description ?? "\(error)"
      }
      result.seconds = start.duration(to: clock.now) / .seconds(1)
      return result
    }
  }

  /// Where nothing is masked the identity is known, and an attack that looks for another key says too little.
  ///
  /// - Returns: false where an attack has to be tried.
  private func read(_ result: inout AttackResult) -> Bool {
    let reading = PlainReading(of: result.attack, compute: compute)
    guard let masked = reading?.measurement(evidence.masked, truth: evidence.truth) else { return false }
    result.masked = masked
    // Without the noise.
    result.unmasked = reading?.measurement(evidence.control, truth: evidence.controlTruth)
    result.meaning = PlainReading.meaning
    return true
  }

  private func measure<Attempted: Attack>(
    _ attack: Attempted, within time: Duration, seesMasking: Bool, _ result: inout AttackResult
  ) throws {
    // Both attempts are of the same rows and know the same of them.
    var random = RepeatableNumbers()
    let knowledge = try attack.knowledge(of: evidence, truth: evidence.truth, random: &random)
    func measurement(_ view: ProviderView, _ truth: OwnerTruth, within time: Duration) throws -> Measurement {
      var random = random
      let deadline = Deadline(after: time)
      let claim = try attack.attempt(on: view, knowing: knowledge, random: &random, until: deadline)
      var measurement = attack.score(claim, truth: truth)
      measurement.isCutShort = deadline.hasCutShort
      return measurement
    }
    let masked = try measurement(evidence.masked, evidence.truth, within: seesMasking ? time / 2 : time)
    let control =
      seesMasking ? try measurement(evidence.control, evidence.controlTruth, within: time / 2) : masked
    result.masked = masked
    result.unmasked = control
    result.meaning = attack.meaning(of: masked, evidence: evidence)
    result.caution = Caution(control: control, of: Attempted.facts).text
  }

  private func advise(_ result: inout AttackResult) {
    guard evidence.masked.deployment == nil else {
      result.advice = DeploymentAdvice(traits: evidence.traits).text(on: result.attack)
      return
    }
    let advice = Advice(on: result.attack, for: evidence.traits, deviation: deviation)
    (result.advice, result.changes) = (advice.text, advice.changes)
  }
}

/// What the rows of a view say as they are, where their space has no key: no attack is needed to read them, and none is stronger.
struct PlainReading {
  private let attack: AttackKind
  private let compute: Compute

  /// - Returns: nil for attacks on something else than the rows' values.
  init?(of attack: AttackKind, compute: Compute) {
    switch attack {
    case .knownRows, .spectralAlignment, .sourceSeparation: break
    case .linkage, .baseWeights, .tokenMatching, .labelInference, .matchingGame, .modelMembership, .repeatedQuestions,
      .copies, .generationCache:
      return nil
    }
    self.attack = attack
    self.compute = compute
  }

  /// By the attack's metric.
  ///
  /// - Returns: nil where the rows are masked, and where noise keeps the values from being read to what the metric asks for.
  func measurement(_ view: ProviderView, truth: OwnerTruth) -> Measurement? {
    let (inputs, plain) = (view.inputs, truth.rows)
    guard view.inputGroup == .trivial, inputs.columns >= plain.columns, inputs.rows == plain.rows else { return nil }
    // The constant and the padding follow the features.
    let read = inputs.firstColumns(plain.columns)
    guard attack == .knownRows else { return columnsFound(read, plain) }
    let error = RelativeError(of: read, against: plain)
    guard error.value < KnownRows.threshold else { return nil }
    return Measurement(
      value: 0, interval: nil, chance: nil, rows: read.rows,
      details: [.init("relative error with 0 known", error.value)])
  }

  private func columnsFound(_ read: Tensor<Float>, _ plain: Tensor<Float>) -> Measurement? {
    let best = ColumnCorrelations.best(plain, claimed: read, compute: compute)
    let found = best.count { $0 > SourceSeparation.threshold }
    guard found > 0 else { return nil }
    return Measurement(
      value: Double(found) / Double(best.count), interval: nil, chance: 0, rows: read.rows)
  }

  static let meaning = "Nothing is masked: the provider reads the rows as they are, and needs no attack."
}

/// A warning about an attack that fails on the unmasked rows too: that it fails under masking then says nothing about the masking.
struct Caution {
  /// Nil where the control does better than a guess, or was not tried to the end.
  let text: String?

  /// - Parameter control: the attempt on the rows without key and noise.
  init(control: Measurement, of facts: AttackFacts) {
    text =
      Self.fails(control, facts)
      ? "The attack fails on these rows unmasked too, because there are too few of them or they have too little structure: that it fails under "
        + "masking says nothing about the masking." : nil
  }

  /// Whether an attempt that came to an end is hardly better than a guess.
  private static func fails(_ measurement: Measurement, _ facts: AttackFacts) -> Bool {
    // With more time it might have got somewhere.
    guard !measurement.isCutShort else { return false }
    switch facts.kind {
    case .modelMembership:
      // Nothing is masked: the second attempt would be the same.
      return false
    case .knownRows:
      func detail(_ name: String) -> Double? { measurement.details.first { $0.name == name }?.value }
      return measurement.value == nil && detail("most known rows tried") != nil
        && detail("most known rows tried") == detail("most known rows to try")
    default:
      guard let value = measurement.value, let chance = measurement.chance else { return false }
      return facts.isWorseWhenHigher ? value - chance < 0.1 * (1 - chance) : value > 0.5 * chance
    }
  }
}

/// Random numbers that a copy draws again, so that two attempts differ in nothing but what they are made on.
///
/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, section 4); nothing secret depends on it.
struct RepeatableNumbers: RandomNumberGenerator {
  private var state = UInt64.random(in: 0 ... .max)

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
