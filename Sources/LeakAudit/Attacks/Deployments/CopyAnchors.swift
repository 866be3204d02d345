import Models
import Numerics

/// A space beside that of the rows whose key only moves numbers (and turns signs), with the weights between the two, of two copies of a model.
///
/// Of each leg the copies are L₁ and L₂ = S P L₁ Rᵀ, `[units, w]`: P moves the units, S turns signs, R is what the keys of the rows differ by. Key-free
/// is what the rows' lengths and inner products say, L₂ L₂ᵀ = S P (L₁ L₁ᵀ) Pᵀ S, whatever R is.
struct CopyAnchor: Sendable {
  struct Leg: Sendable {
    let first: Tensor<Double>
    let second: Tensor<Double>
  }

  let group: SymmetryGroup
  private(set) var legs: [Leg]

  var units: Int { legs.first?.first.rows ?? 0 }

  mutating func append(_ leg: Leg) { legs.append(leg) }
}

/// Finds the anchors of a space in a model's description, which is no secret.
struct CopyAnchors<Element: FloatingElement> {
  /// Units that are matched at most: their inner products are a square matrix.
  private static var maxUnits: Int { 4096 }

  let parameters: [ParameterSpecification]
  let groups: [SpaceID: SymmetryGroup]
  /// Of the two copies, in the order of `parameters` and of their shapes.
  let first: [Tensor<Element>]
  let second: [Tensor<Element>]
  let compute: Compute

  /// The anchors that a weight leads to from `space`; where there are none, those that two weights lead to by a space with a rotation, as behind
  /// an adapter. In the model's order, no more than it takes for four times as many units as the space has coordinates.
  func anchors(of space: SpaceID) -> [CopyAnchor] {
    var found = Found()
    var open: [(space: SpaceID, leg: CopyAnchor.Leg)] = []
    for (index, parameter) in parameters.enumerated() {
      guard let (end, leg) = leg(index, parameter, of: space) else { continue }
      if group(end, width: leg.first.rows) <= .signedPermutation {
        found.add(leg, end, group(end, width: leg.first.rows), maxUnits: Self.maxUnits)
      } else {
        open.append((end, leg))
      }
      if found.units >= 4 * leg.first.columns { break }
    }
    if !found.anchors.isEmpty { return found.anchors }
    for (middle, leg) in open {
      for (index, parameter) in parameters.enumerated() where parameter.columns == middle && parameter.rows != space {
        let group = group(parameter.rows, width: parameter.shape[0])
        guard group <= .signedPermutation else { continue }
        let (next, other) = (first[index].converted(to: Double.self), second[index].converted(to: Double.self))
        let whole = CopyAnchor.Leg(
          first: next.times(leg.first, compute: compute), second: other.times(leg.second, compute: compute))
        found.add(whole, parameter.rows, group, maxUnits: Self.maxUnits)
      }
    }
    return found.anchors
  }

  /// A weight between `space` and another, as a leg; nil for any other, and for what is no number.
  private func leg(
    _ index: Int, _ parameter: ParameterSpecification, of space: SpaceID
  ) -> (SpaceID, CopyAnchor.Leg)? {
    guard let columns = parameter.columns, (columns == space) != (parameter.rows == space),
      first[index].allFinite, second[index].allFinite
    else { return nil }
    let (one, other) = (first[index].converted(to: Double.self), second[index].converted(to: Double.self))
    if columns == space { return (parameter.rows, CopyAnchor.Leg(first: one, second: other)) }
    return (columns, CopyAnchor.Leg(first: one.transposed, second: other.transposed))
  }

  /// A rotation of one coordinate is a sign.
  private func group(_ space: SpaceID, width: Int) -> SymmetryGroup {
    let group = groups[space] ?? .orthogonal
    return width == 1 ? min(group, .signedPermutation) : group
  }

  private struct Found {
    var anchors: [CopyAnchor] = []
    private var places: [SpaceID: Int] = [:]
    /// In all legs.
    private(set) var units = 0

    mutating func add(_ leg: CopyAnchor.Leg, _ space: SpaceID, _ group: SymmetryGroup, maxUnits: Int) {
      guard group == .trivial || leg.first.rows <= maxUnits else { return }
      units += leg.first.rows
      if let place = places[space] {
        anchors[place].append(leg)
      } else {
        places[space] = anchors.count
        anchors.append(CopyAnchor(group: group, legs: [leg]))
      }
    }
  }
}
