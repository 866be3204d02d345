import Foundation
import Numerics

/// Was this record trained on? A question to the published model, in which the keys cancel: its outputs are the same with and without them. Noise on the
/// inputs does not cancel, and is in the models that are trained here too.
///
/// The likelihood-ratio attack of Carlini et al., "Membership Inference Attacks From First Principles" (IEEE S&P 2022), section IV: models
/// are trained on random halves of the candidates; each candidate's scaled confidence is normal among the models that know it and among those
/// that do not, and the published model's is judged by both (online, algorithm 1). Below 64 models the variances are those of all
/// candidates together (section V-B).
///
/// What is judged are models like the job's, not the returned one: each is trained on half of the candidates, where the job trains on all its
/// rows, and to the last epoch, whatever `train.keep` says. A model of more rows remembers each of them less.
package struct ModelMembership: Attack {
  package static let facts = AttackFacts(
    kind: .modelMembership, title: "Model membership",
    knowledge: "the final model in plaintext, if the owner publishes it, and other records of the same kind",
    metric: "true-positive rate at 0.1 % false positives (below 1,000 negatives: at none)", isWorseWhenHigher: true,
    source: "Carlini et al., IEEE S&P 2022, section IV")

  static let falsePositiveRate = 0.001
  /// With fewer, a normal distribution has one or two records to be judged by.
  static let minModels = 8

  private let models: Int

  /// - Parameter models: trained at most; an even number.
  package init(models: Int = 64) {
    self.models = max(Self.minModels, models - models % 2)
  }

  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> any ShadowTraining {
    guard let shadows = evidence.shadows else {
      throw Inapplicable(evidence.shadowsMissing ?? "no models can be trained to compare with")
    }
    guard shadows.candidates >= 16 else { throw Inapplicable("there are too few records to hold some back") }
    return shadows
  }

  /// Each model in turn is taken for the published one, and judged by the others.
  package func attempt(
    on view: ProviderView, knowing shadows: any ShadowTraining, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws -> MembershipScores {
    let candidates = shadows.candidates
    var trained: [ShadowModels.Model] = []
    while trained.count < models, !deadline.hasPassed {
      // A half and the other half: each candidate is known to one of the two.
      let half = Set((0..<candidates).shuffled(using: &random).prefix(candidates / 2))
      for isFirst in [true, false] {
        let isMember = (0..<candidates).map { half.contains($0) == isFirst }
        trained.append(
          .init(isMember: isMember, confidences: try shadows.scores(trainedOn: isMember, model: trained.count)))
      }
    }
    guard trained.count >= Self.minModels else {
      return MembershipScores(members: [], others: [], candidates: candidates, models: trained.count)
    }
    return ShadowModels(models: trained, candidates: candidates).judged()
  }

  package func score(_ claim: MembershipScores, truth: OwnerTruth) -> Measurement {
    let models = Measurement.Detail("models trained", Double(claim.models))
    let curve = ReceiverOperatingCharacteristic(positives: claim.members, negatives: claim.others)
    guard !claim.members.isEmpty else {
      return Measurement(
        value: nil, interval: nil, chance: Self.falsePositiveRate, rows: claim.candidates, details: [models])
    }
    let rate = curve.truePositiveRate(atFalsePositiveRate: Self.falsePositiveRate)
    // A candidate is judged once for each model; only the candidates are independent.
    let found = Int((rate * Double(claim.candidates)).rounded())
    return Measurement(
      value: rate, interval: .wilson(successes: found, trials: claim.candidates),
      chance: curve.chance(atFalsePositiveRate: Self.falsePositiveRate),
      rows: claim.candidates,
      details: [
        .init("true-positive rate at 1 % false positives", curve.truePositiveRate(atFalsePositiveRate: 0.01)),
        .init("area under the curve", curve.areaUnderCurve),
        .init("answers about records not trained on", Double(claim.others.count)),
        .init("rows that each model is trained on", Double(claim.candidates / 2)),
        models,
      ])
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    guard let value = measurement.value else {
      return "There was no time to train the \(Self.minModels) models that a judgement needs."
    }
    let trained = measurement.details.first { $0.name == "rows that each model is trained on" }?.value ?? 0
    let judged =
      " That is of models like the job's, each trained on \(Int(trained)) rows to the last epoch, not of the returned one."
    if let interval = measurement.interval, interval.lower <= measurement.chance ?? 0 {
      return "If the model is published, this attack could not tell from it which records it was trained on." + judged
    }
    let share = (1000 * value).rounded() / 10
    return "If the model is published, \(share) % of its training records can be told with one error in a thousand; "
      + "no key changes that." + judged
  }
}

/// How likely records are to have been trained on, by every model that was taken for the published one.
package struct MembershipScores: Sendable {
  /// Of those that were: which they are is known, because the attack trained the models itself.
  let members: [Double]
  let others: [Double]
  let candidates: Int
  let models: Int
}

/// Models trained on halves of the candidates, in pairs that complement each other.
struct ShadowModels {
  struct Model {
    let isMember: [Bool]
    /// Scaled confidences `[candidates, labels]`; what is infinite is taken for the least or greatest number that is not, and NaN says nothing.
    let confidences: Tensor<Double>
  }

  let models: [Model]
  let candidates: Int

  /// Sums over some models, by whether they know a candidate.
  private struct Sums {
    var count = 0.0
    var sum = 0.0
    var squares = 0.0

    mutating func add(_ value: Double, times: Double = 1) {
      count += times
      sum += times * value
      squares += times * value * value
    }

    var mean: Double { sum / max(1, count) }
    /// Sum of squares around the mean.
    var scatter: Double { max(0, squares - sum * sum / max(1, count)) }
    var variance: Double { scatter / max(1, count - 1) }
  }

  /// From so many models on, each candidate has variances of its own (Carlini et al., section V-B).
  private static let modelsForOwnVariances = 64

  /// ln N(φ; μ_in, σ_in) − ln N(φ; μ_out, σ_out) of every candidate under every model, summed over its labels: each is a confidence of its own,
  /// with means and variances of its own, and one that says little is not averaged with one that says much.
  ///
  /// A model is judged by the others but its complement: with it, the number of models that know a candidate would tell whether this one does.
  func judged() -> MembershipScores {
    let labels = models.first?.confidences.columns ?? 1
    let finite = models.flatMap(\.confidences.elements).filter(\.isFinite)
    let (least, greatest) = (finite.min() ?? 0, finite.max() ?? 0)
    let centre = (least + greatest) / 2
    func value(_ model: Int, _ place: Int) -> Double? {
      let confidence = models[model].confidences[place]
      // Around the middle, so that sums of squares lose nothing.
      return confidence.isNaN ? nil : min(max(confidence, least), greatest) - centre
    }
    var (members, others): ([Double], [Double]) = ([], [])
    var sums = [(inside: Sums, outside: Sums)](repeating: (Sums(), Sums()), count: candidates * labels)
    func add(_ model: Int, times: Double) {
      for place in sums.indices {
        guard let value = value(model, place) else { continue }
        if models[model].isMember[place / labels] {
          sums[place].inside.add(value, times: times)
        } else {
          sums[place].outside.add(value, times: times)
        }
      }
    }
    for model in models.indices { add(model, times: 1) }
    let hasOwn = models.count >= Self.modelsForOwnVariances
    for target in models.indices {
      let pair = [target, target ^ 1]
      for model in pair { add(model, times: -1) }
      let shared = (0..<labels).map { label in
        Self.sharedVariances(stride(from: label, to: sums.count, by: labels).map { sums[$0] })
      }
      for candidate in 0..<candidates {
        var score = 0.0
        for label in 0..<labels {
          let place = candidate * labels + label
          let (inside, outside) = sums[place]
          guard let value = value(target, place), inside.count > 0, outside.count > 0 else { continue }
          score += Self.logRatio(
            value, inside: (inside.mean, hasOwn ? inside.variance : shared[label].inside),
            outside: (outside.mean, hasOwn ? outside.variance : shared[label].outside))
        }
        if models[target].isMember[candidate] { members.append(score) } else { others.append(score) }
      }
      for model in pair { add(model, times: 1) }
    }
    return MembershipScores(members: members, others: others, candidates: candidates, models: models.count)
  }

  private static func sharedVariances(_ sums: [(inside: Sums, outside: Sums)]) -> (inside: Double, outside: Double) {
    func variance(_ parts: [Sums]) -> Double {
      let freedom = parts.reduce(0) { $0 + max(0, $1.count - 1) }
      return parts.reduce(0) { $0 + $1.scatter } / max(1, freedom)
    }
    return (variance(sums.map(\.inside)), variance(sums.map(\.outside)))
  }

  private static func logRatio(
    _ value: Double, inside: (mean: Double, variance: Double), outside: (mean: Double, variance: Double)
  ) -> Double {
    func logDensity(_ side: (mean: Double, variance: Double)) -> Double {
      let variance = side.variance + 1e-30
      return -(value - side.mean) * (value - side.mean) / (2 * variance) - log(variance) / 2
    }
    return logDensity(inside) - logDensity(outside)
  }
}
