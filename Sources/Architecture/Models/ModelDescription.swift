/// What model to build, as the trainer is told it: sizes and kinds only.
package enum ModelDescription: Sendable, Equatable, Codable {
  case mlp(MLPDescription)
}
