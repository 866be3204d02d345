/// A metric against what it depends on.
package struct Curve: Sendable, Equatable, Codable {
  package struct Point: Sendable, Equatable, Codable {
    package var x: Double
    package var y: Double

    package init(x: Double, y: Double) {
      self.x = x
      self.y = y
    }
  }

  /// "known rows".
  package var horizontal: String
  /// "relative error of the others".
  package var vertical: String
  /// Whether x grows by factors.
  package var isLogarithmic: Bool
  package var points: [Point]

  package init(horizontal: String, vertical: String, isLogarithmic: Bool, points: [Point]) {
    self.horizontal = horizontal
    self.vertical = vertical
    self.isLogarithmic = isLogarithmic
    self.points = points
  }
}
