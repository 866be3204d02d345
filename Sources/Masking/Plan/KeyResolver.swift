package import Architecture

/// Gives every space the largest group that all operations on it, the loss and the job's strength allow.
package enum KeyResolver {
  /// - Throws: `MaskingError.notExact` when the strength asks for more than the optimizer commutes with and the job wants
  ///   exactness; `MaskingError.unknownSpace` when a constraint names a space the model does not have.
  package static func resolve(
    structure: ModelStructure, masking: MaskingDescription, optimizer: OptimizerDescription,
    lossConstraint: SpaceConstraint
  ) throws(MaskingError) -> KeyPlan {
    try check(optimizer, under: masking, spaces: structure.spaces, input: structure.input)
    for constraint in structure.constraints + [lossConstraint] where structure.space(constraint.space) == nil {
      throw .unknownSpace(constraint.space)
    }
    let rows = structure.spaces.map { space in
      row(of: space, structure: structure, strength: masking.strength, lossConstraint: lossConstraint)
    }
    guard let input = rows.first(where: { $0.space == structure.input }) else { throw .unknownSpace(structure.input) }
    guard let output = rows.first(where: { $0.space == structure.output }) else {
      throw .unknownSpace(structure.output)
    }
    return KeyPlan(rows: rows, input: input, output: output)
  }

  /// Operations narrow a key silently, because masked training stays what was asked for; an optimizer is the job's own
  /// choice, so it is refused instead, whatever the operations leave of the strength. Once this passes, the optimizer
  /// allows all that the strength can give and narrows nothing.
  private static func check(
    _ optimizer: OptimizerDescription, under masking: MaskingDescription, spaces: [Space], input: SpaceID
  ) throws(MaskingError) {
    guard masking.exact else { return }
    for space in spaces where optimizer.largestGroup < masking.strength.largestGroup(onInput: space.id == input) {
      throw .notExact(optimizer: optimizer.kind, largest: optimizer.largestGroup, strength: masking.strength)
    }
  }

  /// The smallest constraint decides. Of equals the earlier in this order is named, as the more telling: an operation that
  /// narrows (no setting can change it), the loss (moving it can), the strength; an operation that allows every key
  /// explains nothing and comes last.
  private static func row(
    of space: Space, structure: ModelStructure, strength: MaskingStrength, lossConstraint: SpaceConstraint
  ) -> KeyPlanRow {
    let operations = structure.constraints.filter { $0.space == space.id }
    var candidates = operations.filter { $0.largest < .orthogonal }
    if lossConstraint.space == space.id { candidates.append(lossConstraint) }
    let asked = SpaceConstraint(
      space: space.id, largest: strength.largestGroup(onInput: space.id == structure.input),
      reason: "masking.strength: \(strength.rawValue)")
    candidates.append(asked)
    let decisive = candidates.reduce(candidates[0]) { $1.largest < $0.largest ? $1 : $0 }
    return KeyPlanRow(
      space: space.id, width: space.width, group: decisive.largest, decidedBy: decisive.reason,
      homogeneous: space.homogeneous)
  }
}
