/// An interval of real numbers with either end open or closed; both ends finite.
struct NumberRange: Sendable {
  let lower: Double
  let upper: Double
  var excludesLower = false
  var excludesUpper = false

  func contains(_ value: Double) -> Bool {
    (excludesLower ? value > lower : value >= lower) && (excludesUpper ? value < upper : value <= upper)
  }

  var documentation: String {
    let from = (excludesLower ? "above " : "at least ") + NumberText.shortest(lower)
    let to = (excludesUpper ? "below " : "at most ") + NumberText.shortest(upper)
    return "a number \(from) and \(to)"
  }
}
