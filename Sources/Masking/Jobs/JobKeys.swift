internal import Architecture
package import Tensors

/// All keys of a job, expanded from its master key, and everything the owner does with them.
///
/// A key is kept once, in the job's format, from its first use until the last reference to this goes; then it is
/// overwritten with zeros. Shapes: n rows, d features, w = d + 1 + k the width of the masked input.
package final class JobKeys<Element: FloatingElement>: Sendable {
  package let plan: KeyPlan
  package let workers: Workers
  private let keys: [SpaceID: ExpandedKey<Element>]
  private let input: ExpandedKey<Element>
  private let output: ExpandedKey<Element>

  /// Expands nothing yet.
  package init(master: MasterKey, plan: KeyPlan, workers: Workers) {
    self.plan = plan
    self.workers = workers
    let expansion = KeyExpansion(master: master, workers: workers)
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
