/// The tree of keys that `JobFields` declares, and the nearest known key to an unknown one.
enum JobSchema {
  static let fields = Dictionary(uniqueKeysWithValues: JobFields.all.map { ($0.path, $0) })

  /// Paths of mappings: "data", "data.split" …; the empty path is the whole job.
  static let sections: Set<String> = Set(
    JobFields.all.flatMap { field in
      let parts = field.path.split(separator: ".")
      return (0..<parts.count).map { parts.prefix($0).joined(separator: ".") }
    })

  /// Sections that are asked for by being there: an empty one would silently ask for nothing.
  static let neverEmpty: Set<String> = ["masking.adapter", "masking.noise", "audit", "audit.gate"]

  /// The names directly below a section, in the order of the interface.
  static func children(of section: String) -> [String] {
    let prefix = section.isEmpty ? "" : section + "."
    var names: [String] = []
    for field in JobFields.all where field.path.hasPrefix(prefix) {
      let name = String(field.path.dropFirst(prefix.count).prefix { $0 != "." })
      if !names.contains(name) { names.append(name) }
    }
    return names
  }

  /// The key that was probably meant: the nearest sibling within a third of its length, else a key elsewhere with just
  /// this name, else nil.
  static func suggestion(for name: String, in section: String) -> String? {
    let prefix = section.isEmpty ? "" : section + "."
    let lowered = String(name.lowercased().prefix(64)).replacing("-", with: "_")
    let siblings = children(of: section).map {
      (path: prefix + $0, distance: EditDistance.between($0, lowered), name: $0)
    }
    let near = siblings.filter { $0.distance <= max(1, $0.name.count / 3) }
    if let nearest = near.min(by: { $0.distance < $1.distance }) { return nearest.path }
    let elsewhere = fields.keys.sorted() + sections.sorted()
    return elsewhere.first { $0.split(separator: ".").last.map(String.init) == lowered }
  }
}

/// How many single-character insertions, deletions, replacements or swaps of neighbours turn one word into another
/// (optimal string alignment).
enum EditDistance {
  static func between(_ left: String, _ right: String) -> Int {
    let a = Array(left.unicodeScalars)
    let b = Array(right.unicodeScalars)
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in a.indices {
      var row = [i + 1]
      for j in b.indices {
        let replaced = last[j] + (a[i] == b[j] ? 0 : 1)
        var best = min(replaced, last[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
        row.append(best)
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}
