/// A model as the key resolver sees it: spaces, parameters and what each layer allows; no numbers and no order of work.
package struct ModelStructure: Sendable {
  /// In order of first use, input first.
  package let spaces: [Space]
  /// In checkpoint order.
  package let parameters: [ParameterSpecification]
  package let constraints: [SpaceConstraint]
  package let input: SpaceID
  package let output: SpaceID

  package init(spaces: [Space], layers: [any LayerRules], input: SpaceID, output: SpaceID) {
    self.spaces = spaces
    parameters = layers.flatMap(\.parameters)
    constraints = layers.flatMap(\.constraints)
    self.input = input
    self.output = output
  }

  package func space(_ id: SpaceID) -> Space? {
    spaces.first { $0.id == id }
  }
}
