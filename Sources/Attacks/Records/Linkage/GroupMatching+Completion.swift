extension GroupMatching {
  /// Takes every candidate's best row in view of the others that are laid, as long as there is more evidence to be had: growth looks at a
  /// few rows of each candidate, and a root may have been the wrong one.
  func completed(
    _ laying: CliqueGrowth.Laying, _ distances: UnsafeBufferPointer<Float>
  ) -> CliqueGrowth.Laying {
    var laying = laying
    for _ in 0..<2 * group.count {
      var best = (gain: 1e-9, candidate: -1, row: -1)
      for candidate in group.indices {
        let others = group.indices.filter { $0 != candidate && laying.rows[$0] >= 0 }
        let taken = Set(others.map { laying.rows[$0] })
        var (now, most, row) = (0.0, 0.0, -1)
        for place in rows[candidate].agreeing where !taken.contains(place.row) {
          let evidence = evidence(candidate, place, others, laying.rows, distances)
          if place.row == laying.rows[candidate] { now = evidence }
          if evidence > most { (most, row) = (evidence, place.row) }
        }
        if most - now > best.gain { best = (most - now, candidate, row) }
      }
      guard best.candidate >= 0 else { break }
      laying.rows[best.candidate] = best.row
      laying.evidence += best.gain
    }
    return laying
  }
}
