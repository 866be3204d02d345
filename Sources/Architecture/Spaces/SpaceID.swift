/// The name of an activation space, stable across versions because keys are expanded from it (`job/space/kind`).
package struct SpaceID: Hashable, Sendable, Codable, CustomStringConvertible {
  package let name: String

  package init(_ name: String) {
    self.name = name
  }

  package var description: String { name }
}
