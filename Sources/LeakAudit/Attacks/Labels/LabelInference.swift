import Models
import Foundation
package import Numerics

/// Which rows have the same label, from what the provider gets to train with.
///
/// With the loss at the owner it gets ∂L/∂y' for its outputs y': a permuted gradient tells class and answers by the signs of its
/// entries; behind a rotation, rows of one class point the same way (Li et al., "Label Leakage and Protection in Two-party Split Learning",
/// ICLR 2022, section 3), and the form of the loss then gives rotation and labels together. What the classes are called stays hidden.
package struct LabelInference: Attack {
  package static let facts = AttackFacts(
    kind: .labelInference, title: "Label inference", knowledge: "nothing but what kind of task it is",
    metric: "adjusted mutual information of claimed and true labels (for numbers: share of variance)",
    isWorseWhenHigher: true,
    source: "Li et al., Label Leakage and Protection in Two-party Split Learning, ICLR 2022, section 3")

  /// Rows of rotated gradients that are looked at; nothing is said of others.
  private static let maxRows = 1 << 16

  private let compute: Compute
  private let restarts: Int
  /// Half samples that the interval is taken from.
  let draws: Int

  package init(compute: Compute, restarts: Int = 8, draws: Int = 200) {
    self.compute = compute
    self.restarts = restarts
    self.draws = draws
  }

  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> LabelKind {
    guard evidence.masked.outputs.rows > 1 else { throw Inapplicable("no targets were sent") }
    return LabelKind(truth.labels)
  }

  package func attempt(
    on view: ProviderView, knowing kind: LabelKind, random: inout some RandomNumberGenerator, until deadline: Deadline
  ) throws -> LabelClaim {
    let hasTokenLabels = view.lengths.map { $0.reduce(0) { $0 + Int($1) } == view.outputs.rows } ?? false
    return LabelClaim(
      labels: labels(view, kind, random: &random, until: deadline), lengths: hasTokenLabels ? view.lengths : nil)
  }

  private func labels(
    _ view: ProviderView, _ kind: LabelKind, random: inout some RandomNumberGenerator, until deadline: Deadline
  ) -> LabelClaim.Labels {
    switch view.targets {
    case .classes(let ids): return .classes(ids.map { Int($0) })
    case .values(let values):
      return kind == .numbers
        ? .numbers(values.converted()) : .binaries(Self.columns(values) { $0.isNaN ? -1 : $0 > 0.5 ? 1 : 0 })
    case .gradients(let gradients):
      let isRotated = view.outputGroup == .orthogonal && gradients.columns > 1
      switch kind {
      case .numbers:
        // Where a model begins, its outputs vary little: the gradient of the squared error is the label, turned round.
        return .numbers(gradients.converted())
      case .binaries where !isRotated: return .binaries(Self.columns(gradients) { $0 == 0 ? -1 : $0 < 0 ? 1 : 0 })
      case .binaries:
        let parts = BinaryGradients(
          outputs: view.outputs.converted(), gradients: gradients.converted(), compute: compute)
        let fit = parts.fit(restarts: restarts, random: &random, until: deadline)
        let width = gradients.columns
        return .binaries(
          (0..<width).map { column in (0..<gradients.rows).map { Int(fit.labels[$0 * width + column]) } })
      case .classes where !isRotated: return .classes(Self.ownEntries(gradients, view.outputGroup))
      case .classes: return .classes(clusters(view.outputs, gradients, &random, deadline))
      }
    }
  }

  /// Of p − e_class only the class's own entry is negative; where signs are secret, it is the greatest in magnitude, 1 − p being the sum of
  /// the others. Of two classes both entries are as great, and any sign tells.
  private static func ownEntries(_ gradients: Tensor<Float>, _ group: SymmetryGroup) -> [Int] {
    let width = gradients.columns
    return gradients.withUnsafeBufferPointer { elements in
      (0..<gradients.rows).map { row in
        let entries = elements[row * width..<(row + 1) * width]
        guard entries.contains(where: { $0 != 0 }) else { return -1 }
        guard group == .signedPermutation else {
          return (0..<width).min { entries[row * width + $0] < entries[row * width + $1] } ?? -1
        }
        if width == 2 { return entries[row * width] < 0 ? 0 : 1 }
        return (0..<width).max { abs(entries[row * width + $0]) < abs(entries[row * width + $1]) } ?? -1
      }
    }
  }

  private static func columns(_ values: Tensor<Float>, _ label: (Float) -> Int) -> [[Int]] {
    let width = values.columns
    return (0..<width).map { column in (0..<values.rows).map { label(values[$0 * width + column]) } }
  }

  /// Rows without a gradient have no label.
  private func clusters(
    _ outputs: Tensor<Float>, _ gradients: Tensor<Float>, _ random: inout some RandomNumberGenerator,
    _ deadline: Deadline
  ) -> [Int] {
    let norms = gradients.converted(to: Double.self).squaredNorms
    let counted = norms.indices.filter { norms[$0] > 0 }
    var result = [Int](repeating: -1, count: norms.count)
    let fitted = Array(counted.prefix(Self.maxRows))
    let search = ClassSearch(
      outputs: outputs.selecting(rows: fitted).converted(), gradients: gradients.selecting(rows: fitted).converted(),
      restarts: restarts, compute: compute)
    for (row, cluster) in zip(fitted, search.clusters(random: &random, until: deadline)) { result[row] = cluster }
    return result
  }

  package func score(_ claim: LabelClaim, truth: OwnerTruth) -> Measurement {
    switch (claim.labels, truth.labels) {
    case (.classes(let clusters), .classes(let classes)): return classAgreement(clusters, classes, claim.lengths)
    case (.binaries(let columns), .values(let values, _)): return binaryAgreement(columns, values, claim.lengths)
    case (.numbers(let claimed), .values(let values, _)): return numberAgreement(claimed, values, claim.lengths)
    default: return Measurement(value: nil, interval: nil, chance: 0, rows: 0)
    }
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    guard let value = measurement.value else { return "No labels could be compared." }
    let isChance = (measurement.interval?.lower ?? value) <= 0.01
    if isChance { return "What the provider gets back says next to nothing about which rows have the same label." }
    let share = Int((100 * value).rounded())
    return
      "The provider can sort the rows by label (agreement \(share) % of what is possible); what the labels are called stays hidden."
  }
}

extension ProviderView {
  /// Of the space that the last layer writes to: the last parameter with a row for each output.
  fileprivate var outputGroup: SymmetryGroup {
    parameters.last { $0.shape.first == outputs.columns }.map { groups[$0.rows] ?? .trivial } ?? .orthogonal
  }
}

/// The kind of labels, which the number of outputs and the shape of their gradients reveal.
package enum LabelKind: Sendable {
  /// One of several classes.
  case classes
  /// Several binary labels.
  case binaries
  case numbers

  package init(_ labels: TrueLabels) {
    switch labels {
    case .classes: self = .classes
    case .values(_, let isBinary): self = isBinary ? .binaries : .numbers
    }
  }
}

/// Which rows are said to have the same label.
package struct LabelClaim: Sendable {
  enum Labels: Sendable {
    /// A cluster for each row; negative where nothing is claimed.
    case classes([Int])
    /// Columns of 0 and 1 (which of the two is positive remains unknown), −1 where nothing is claimed; each in the order of the rows.
    case binaries([[Int]])
    /// `[m, columns]`, up to scale and sign.
    case numbers(Tensor<Double>)
  }

  let labels: Labels
  /// Rows of each sample where each of its tokens has a label; nil where a row is a sample.
  let lengths: [Int32]?
}
