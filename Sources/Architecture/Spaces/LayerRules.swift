/// What a layer kind states about itself without numbers: the parameters it trains and the keys that commute with it.
///
/// `Training` adds forward and backward in the same file as a layer's rules; `Masking` reads the rules alone.
package protocol LayerRules: Sendable {
  /// Dotted PyTorch prefix: "layers.0".
  var name: String { get }
  var parameters: [ParameterSpecification] { get }
  /// One entry for each space the layer touches.
  var constraints: [SpaceConstraint] { get }
}
