/// What one attempt amounts to.
package struct Measurement: Sendable, Equatable, Codable {
  /// The attack's metric; nil where the attempt reached no value, such as a number of rows beyond all that were tried.
  package var value: Double?
  /// Of the value, at 95 %, within the values that the metric can take; its upper end is infinite where no greater value was ruled out. Nil
  /// where nothing was drawn that could have come out otherwise, as for the error of one key, which is computed and not estimated.
  package var interval: Interval?
  /// What a guess without any knowledge reaches; nil where that is not on the metric's scale, as for a number of rows.
  package var chance: Double?
  /// Rows (or tokens, or records) that the attempt worked on.
  package var rows: Int
  /// Further figures by name, in order.
  package var details: [Detail]
  /// Where a curve says more than a number.
  package var curve: Curve?
  /// Whether the attempt's time was up before it was done: with more it might have found more.
  package var isCutShort = false

  package init(
    value: Double?, interval: Interval?, chance: Double?, rows: Int, details: [Detail] = [], curve: Curve? = nil
  ) {
    self.value = value
    self.interval = interval
    self.chance = chance
    self.rows = rows
    self.details = details
    self.curve = curve
  }

  package struct Detail: Sendable, Equatable, Codable {
    package var name: String
    package var value: Double

    package init(_ name: String, _ value: Double) {
      self.name = name
      self.value = value
    }
  }
}

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
