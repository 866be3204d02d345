import Foundation
import Tensors

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
