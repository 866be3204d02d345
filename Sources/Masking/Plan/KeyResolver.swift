package import Architecture

/// Gives every space the largest group that all operations on it, the loss and the job's strength allow.
package enum KeyResolver {
  /// Coordinates of the output above which no orthogonal key is drawn for it: one takes n × n numbers and 4/3 n³ operations,
  /// for a vocabulary of 32,000 already 4 GB and 4 · 10¹³.
  package static let widestOrthogonalOutput = 4096

  /// - Throws: `MaskingError.notExact` when the strength asks for more than the optimizer commutes with and the job wants
  ///   exactness; `MaskingError.unknownSpace` when a constraint or a form names a space the model does not have;
  ///   `MaskingError.spaceForm` when the sizes of a form do not fit its space or one another.
  package static func resolve(
    structure: ModelStructure, masking: MaskingDescription, optimizer: OptimizerDescription,
    lossConstraint: SpaceConstraint
  ) throws(MaskingError) -> KeyPlan {
    try check(optimizer, under: masking, spaces: structure.spaces, input: structure.input)
    for constraint in structure.constraints + [lossConstraint] where structure.space(constraint.space) == nil {
      throw .unknownSpace(constraint.space)
    }
    let drafts = structure.spaces.map { space in
      draft(of: space, structure: structure, strength: masking.strength, lossConstraint: lossConstraint)
    }
    let rows = try SharedKeys(drafts).resolved()
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
  private static func draft(
    of space: Space, structure: ModelStructure, strength: MaskingStrength, lossConstraint: SpaceConstraint
  ) -> KeyPlanRow {
    let operations = structure.constraints.filter { $0.space == space.id }
    var candidates = operations.filter { $0.largest < .orthogonal }
    if lossConstraint.space == space.id { candidates.append(lossConstraint) }
    let asked = SpaceConstraint(
      space: space.id, largest: strength.largestGroup(onInput: space.id == structure.input),
      reason: "masking.strength: \(strength.rawValue)")
    candidates.append(asked)
    var decisive = candidates.reduce(candidates[0]) { $1.largest < $0.largest ? $1 : $0 }
    if space.id == structure.output, space.width > widestOrthogonalOutput, decisive.largest == .orthogonal {
      decisive = SpaceConstraint(
        space: space.id, largest: .permutation,
        reason: "\(space.width) outputs: an orthogonal key of that many coordinates is not drawn")
    }
    return KeyPlanRow(
      space: space.id, width: space.width, group: decisive.largest, decidedBy: decisive.reason,
      homogeneous: space.homogeneous, form: space.form)
  }
}
