/// The tree of keys that one kind of document may hold, and the nearest known key to an unknown one.
struct SpecificationSchema: Sendable {
  /// What errors call the document: "the job".
  let document: String
  /// In the order of the interface.
  let all: [JobFieldDescription]
  let fields: [String: JobFieldDescription]
  /// Paths of mappings: "data", "data.split" …; the empty path is the whole document, "sites[]" an entry of a list.
  let sections: Set<String>
  /// Paths of lists of mappings, and how many entries each may have.
  let lists: [String: ClosedRange<Int>]
  /// Sections that are asked for by being there: an empty one would silently ask for nothing.
  let neverEmpty: Set<String>

  init(
    document: String, fields all: [JobFieldDescription], lists: [String: ClosedRange<Int>] = [:],
    neverEmpty: Set<String> = []
  ) {
    self.document = document
    self.all = all
    fields = Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })
    sections = Set(
      all.flatMap { field in
        let parts = field.path.split(separator: ".")
        return (0..<parts.count).map { parts.prefix($0).joined(separator: ".") }
      })
    self.lists = lists
    self.neverEmpty = neverEmpty
  }

  /// The names directly below a section, in the order of the interface.
  func children(of section: String) -> [String] {
    let prefix = section.isEmpty ? "" : section + "."
    var names: [String] = []
    for field in all where field.path.hasPrefix(prefix) {
      let name = String(field.path.dropFirst(prefix.count).prefix { $0 != "." && $0 != "[" })
      if !names.contains(name) { names.append(name) }
    }
    return names
  }

  /// The key that was probably meant: the nearest sibling within a third of its length, else a key elsewhere with just
  /// this name, else nil.
  func suggestion(for name: String, in section: String) -> String? {
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

  /// The range of a list of mappings in words.
  func range(ofList path: String) -> String {
    let count = lists[path] ?? 0...0
    return "a list of \(count.lowerBound) to \(count.upperBound) mappings, each with "
      + children(of: path + "[]").joined(separator: " and ")
  }

  /// Every key as one Markdown table, in the order of the interface.
  var reference: String {
    let rows = all.map { "| `\($0.path)` | \($0.range) | \($0.defaultText) | \($0.meaning) |" }
    return (["| key | type and range | default | meaning |", "|---|---|---|---|"] + rows).joined(separator: "\n") + "\n"
  }
}

extension SpecificationSchema {
  static let job = SpecificationSchema(
    document: "the job", fields: JobFields.all,
    neverEmpty: ["masking.adapter", "masking.noise", "privacy", "audit", "audit.gate"])
}

/// The schema of jobs.
enum JobSchema {
  static var fields: [String: JobFieldDescription] { SpecificationSchema.job.fields }

  static func children(of section: String) -> [String] { SpecificationSchema.job.children(of: section) }
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
