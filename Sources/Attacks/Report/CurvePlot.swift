import Foundation

/// A curve under masking and the same without, as an SVG drawing.
struct CurvePlot {
  private static let width = 460.0
  private static let height = 240.0
  private static let left = 56.0
  private static let right = 12.0
  private static let top = 12.0
  private static let bottom = 44.0

  let masked: Curve
  let unmasked: Curve?

  var svg: String {
    let all = masked.points + (unmasked?.points ?? [])
    guard all.count > 1 else { return "" }
    let xs = all.map { place($0.x) }
    let (low, high) = (xs.min() ?? 0, max(xs.max() ?? 1, (xs.min() ?? 0) + 1e-9))
    let ceiling = max(1, all.map(\.y).filter(\.isFinite).max() ?? 1)
    func x(_ value: Double) -> Double {
      Self.left + (place(value) - low) / (high - low) * (Self.width - Self.left - Self.right)
    }
    func y(_ value: Double) -> Double {
      Self.height - Self.bottom - min(1, max(0, value / ceiling)) * (Self.height - Self.top - Self.bottom)
    }
    var marks = ""
    for share in [0, 0.25, 0.5, 0.75, 1.0] {
      let level = share * ceiling
      marks +=
        "<line class=\"grid\" x1=\"\(n(Self.left))\" x2=\"\(n(Self.width - Self.right))\" y1=\"\(n(y(level)))\" y2=\"\(n(y(level)))\"/>"
        + "<text x=\"\(n(Self.left - 6))\" y=\"\(n(y(level) + 4))\" text-anchor=\"end\">\(ReportNumber.text(level))</text>"
    }
    // Points that were tried to narrow a value down lie close together: their labels would run into each other.
    var labelled = -Double.infinity
    for point in masked.points where x(point.x) - labelled >= 30 {
      labelled = x(point.x)
      marks +=
        "<text x=\"\(n(x(point.x)))\" y=\"\(n(Self.height - Self.bottom + 16))\" text-anchor=\"middle\">\(ReportNumber.text(point.x))</text>"
    }
    func line(_ curve: Curve, _ style: String) -> String {
      let places = curve.points.filter(\.y.isFinite).map { "\(n(x($0.x))),\(n(y($0.y)))" }.joined(separator: " ")
      return "<polyline class=\"\(style)\" points=\"\(places)\"/>"
    }
    return """
      <svg viewBox="0 0 \(n(Self.width)) \(n(Self.height))" role="img">
      \(marks)
      \(unmasked.map { line($0, "unmasked") } ?? "")
      \(line(masked, "masked"))
      <text x="\(n((Self.left + Self.width) / 2))" y="\(n(Self.height - 8))" text-anchor="middle">\(PageText.escaped(masked.horizontal))</text>
      </svg>
      <p class="legend">\(PageText.escaped(masked.vertical)): <span class="masked">masked</span>, \
      <span class="unmasked">unmasked</span></p>
      """
  }

  private func place(_ value: Double) -> Double {
    masked.isLogarithmic ? log(max(value, 1e-12)) : value
  }

  private func n(_ value: Double) -> String { String(format: "%.1f", value) }
}
