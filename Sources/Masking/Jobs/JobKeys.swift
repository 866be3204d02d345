internal import Cryptography
internal import Models
internal import Synchronization
package import Numerics

/// All keys of a job, expanded from its master key, and everything the owner does with them.
///
/// A key is kept once, in the job's format, from its first use until the last reference to this object is released;
/// then it is overwritten with zeros. Shapes: n rows, d features, w = d + 1 + k the width of the masked input.
package final class JobKeys<Element: FloatingElement>: Sendable {
  package let plan: KeyPlan
  package let compute: Compute
  private let keys: [SpaceID: ExpandedKey<Element>]
  private let input: ExpandedKey<Element>
  private let output: ExpandedKey<Element>

  /// Expands nothing yet.
  ///
  /// - Parameter compute: for masks.
  package init(master: MasterKey, plan: KeyPlan, compute: Compute) {
    self.plan = plan
    self.compute = compute
    let expansion = KeyExpansion(master: master, workers: compute.workers)
    var keys: [SpaceID: ExpandedKey<Element>] = [:]
    for row in plan.rows + [plan.input, plan.output] where keys[row.space] == nil {
      keys[row.space] = ExpandedKey(row, expansion)
    }
    self.keys = keys
    input = keys[plan.input.space] ?? ExpandedKey(plan.input, expansion)
    output = keys[plan.output.space] ?? ExpandedKey(plan.output, expansion)
  }

  /// Expands every key now, so that the first batch does not wait for it.
  package func expand() {
    for key in keys.values { _ = key.key() }
  }

  var inputKey: any SpaceKey<Element> { input.key() }
  var outputKey: any SpaceKey<Element> { output.key() }

  /// - Throws: `MaskingError.unknownSpace`.
  func key(_ space: SpaceID) throws(MaskingError) -> any SpaceKey<Element> {
    guard let key = keys[space] else { throw .unknownSpace(space) }
    return key.key()
  }

  /// - Throws: `MaskingError.shape` naming `what`.
  func check(_ shape: [Int], is expected: [Int], _ what: String) throws(MaskingError) {
    guard shape == expected else { throw .shape(what: what, expected: expected, found: shape) }
  }
}

/// One space's key, expanded when first asked for; other spaces can be expanded meanwhile.
final class ExpandedKey<Element: FloatingElement>: Sendable {
  let row: KeyPlanRow
  private let expansion: KeyExpansion
  private let expanded = Mutex<(any SpaceKey<Element>)?>(nil)

  init(_ row: KeyPlanRow, _ expansion: KeyExpansion) {
    self.row = row
    self.expansion = expansion
  }

  func key() -> any SpaceKey<Element> {
    expanded.withLock { expanded in
      if let key = expanded { return key }
      let key: any SpaceKey<Element> = expansion.key(row)
      expanded = key
      return key
    }
  }
}

extension JobKeys {
  /// x' = K [x; 1; 0_k] = T x + δ for every row, or K x when the input space is not homogeneous.
  ///
  /// Under a rotation the last bits of a row may depend on how many rows come with it: present a row in the same block each
  /// time it must have the same bits. A permutation changes no bits.
  ///
  /// - Parameter rows: `[n, d]`.
  /// - Returns: `[n, w]`.
  /// - Throws: `MaskingError.shape`.
  package func maskInputs(_ rows: Tensor<Element>) throws(MaskingError) -> Tensor<Element> {
    try check(rows.shape, is: [rows.rows, features], "an input batch")
    return inputKey.mask(inputs: rows, offset: plan.input.homogeneous != nil, compute: compute)
  }

  /// The same for sparse rows, whose bits depend on the row alone.
  package func maskInputs(_ rows: SparseRows<Element>) throws(MaskingError) -> Tensor<Element> {
    try check([rows.rows, rows.columns], is: [rows.rows, features], "an input batch")
    return inputKey.mask(inputs: rows, offset: plan.input.homogeneous != nil, compute: compute)
  }

  /// x from x', without the constant and the padding: `[n, w]` to `[n, d]`.
  package func unmaskInputs(_ masked: Tensor<Element>) throws(MaskingError) -> Tensor<Element> {
    try check(masked.shape, is: [masked.rows, plan.input.width], "a masked input batch")
    let (features, width) = (features, plan.input.width)
    let whole = inputKey.transform(rows: masked, .unmask, compute: compute)
    if features == width { return whole }
    var rows = Tensor<Element>(uninitialized: [masked.rows, features])
    rows.withUnsafeMutableBufferPointer { target in
      whole.withUnsafeBufferPointer { source in
        for row in 0..<masked.rows {
          _ = UnsafeMutableBufferPointer(rebasing: target[(row * features)..<((row + 1) * features)])
            .update(fromContentsOf: source[(row * width)..<(row * width + features)])
        }
      }
    }
    return rows
  }

  /// d.
  private var features: Int { plan.input.homogeneous?.features ?? plan.input.width }
}

extension JobKeys {
  /// y = K_y⁻¹ y'.
  ///
  /// - Parameter masked: `[n, outputs]`, as the trainer sent it.
  /// - Throws: `MaskingError.shape`.
  package func unmaskOutputs(_ masked: Tensor<Element>) throws(MaskingError) -> Tensor<Element> {
    try check(masked.shape, is: [masked.rows, plan.output.width], "a batch of masked outputs")
    return outputKey.transform(rows: masked, .unmask, compute: compute)
  }

  /// Which outputs those are that the trainer numbers so: the other way round of `maskClasses`.
  ///
  /// - Throws: `MaskingError.classOutOfRange` for a number of no output; `MaskingError.needsSmallerGroup` as `maskClasses`.
  package func unmaskClasses(_ masked: [Int32]) throws(MaskingError) -> [Int32] {
    let key = outputKey
    guard masked.allSatisfy({ $0 >= 0 && Int($0) < key.width }) else { throw .classOutOfRange(classes: key.width) }
    guard let classes = key.coordinates(at: masked) else {
      throw .needsSmallerGroup(
        what: "unmasking class ids", space: plan.output.space, largest: .permutation, found: key.group)
    }
    return classes
  }

  /// ∂L/∂y' = K_y⁻ᵀ ∂L/∂y, which is K_y ∂L/∂y for the orthogonal keys used here.
  ///
  /// - Parameter gradient: `[n, outputs]`.
  /// - Throws: `MaskingError.shape`.
  package func maskOutputGradient(_ gradient: Tensor<Element>) throws(MaskingError) -> Tensor<Element> {
    try check(gradient.shape, is: [gradient.rows, plan.output.width], "a batch of output gradients")
    return outputKey.transform(rows: gradient, .mask, compute: compute)
  }
}

/// Labels for a loss computed by the trainer.
extension JobKeys {
  /// Class ids as the trainer's outputs number them. A negative id, of a token that does not count, stays as it is.
  ///
  /// - Throws: `MaskingError.classOutOfRange`; `MaskingError.needsSmallerGroup` when the output key is not a permutation,
  ///   under which a class has no id.
  package func maskClasses(_ classes: [Int32]) throws(MaskingError) -> [Int32] {
    let key = outputKey
    guard classes.allSatisfy({ Int($0) < key.width }) else { throw .classOutOfRange(classes: key.width) }
    guard let masked = key.positions(of: classes) else {
      throw .needsSmallerGroup(
        what: "masking class ids", space: plan.output.space, largest: .permutation, found: key.group)
    }
    return masked
  }

  /// Targets moved or turned as the outputs are; NaN is a missing one and stays missing.
  ///
  /// - Parameter targets: `[n, outputs]`.
  /// - Throws: `MaskingError.shape`; `MaskingError.missingTarget` for a NaN under a rotation.
  package func maskTargets(_ targets: Tensor<Element>) throws(MaskingError) -> Tensor<Element> {
    try check(targets.shape, is: [targets.rows, plan.output.width], "a batch of targets")
    if plan.output.group == .orthogonal, targets.withUnsafeBufferPointer({ $0.contains(where: \.isNaN) }) {
      throw .missingTarget(space: plan.output.space)
    }
    return outputKey.transform(rows: targets, .mask, compute: compute)
  }
}

/// The secret orders in which the tokens of samples are sent during one pass over the rows: fresh for every sample and every
/// pass, and the same again for a resumed run.
///
/// For models whose output does not depend on the order of tokens. All orders are equally likely: Fisher–Yates
/// with rejection. A sample's stream is a substream of the pass's, so that drawing one costs no key derivation.
package struct TokenOrder: Sendable {
  private let streams: @Sendable (_ sample: Int) -> KeyStream

  /// - Parameter pass: which pass over the rows this is, an epoch's number or another that no other pass of the job has.
  package init(master: MasterKey, pass: Int) {
    streams = master.stream(SpaceID("tokens"), kind: "pass \(pass)").substreams()
  }

  /// The position in the sample of each token that is sent.
  ///
  /// The array is not zeroed when freed, no more than the tokens themselves are.
  ///
  /// - Parameters:
  ///   - sample: the sample's slot in the pass, at least 0.
  ///   - tokens: its tokens, at least 0.
  package func order(sample: Int, tokens: Int) -> [Int] {
    streams(sample).permutation(tokens)
  }
}
