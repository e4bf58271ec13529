using ScottPlot;
using Titan.Abstractions;

namespace Titan.Benchmarks;

/// <summary>Speed-up over K and N as colours: red below 1, white at 1, green above.</summary>
internal static class HeatMap
{
    /// <summary>Draws the shapes; those in between that were not measured stay empty.</summary>
    public static void Save(string path, string title, IReadOnlyDictionary<LinearShape, double> speedUps)
    {
        long[] ks = [.. speedUps.Keys.Select(s => s.K).Distinct().Order()], ns = [.. speedUps.Keys.Select(s => s.N).Distinct().Order()];
        var cells = new double[ks.Length, ns.Length];
        for (var k = 0; k < ks.Length; k++)
            for (var n = 0; n < ns.Length; n++) cells[k, n] = speedUps.TryGetValue(new LinearShape(ks[k], ns[n]), out var value) ? value : double.NaN;
        using var plot = new Plot();
        var map = plot.Add.Heatmap(cells);
        // As far below 1 as above it, so that white is where nothing is gained.
        var reach = Math.Max(0.1, speedUps.Values.Max(v => Math.Abs(v - 1)));
        map.ManualRange = new ScottPlot.Range(1 - reach, 1 + reach);
        map.Colormap = ScottPlot.Colormap.FromColors([Colors.IndianRed, Colors.White, Colors.SeaGreen]);
        map.NaNCellColor = Colors.LightGray;
        for (var k = 0; k < ks.Length; k++)
        {
            for (var n = 0; n < ns.Length; n++)
            {
                if (double.IsNaN(cells[k, n])) continue;
                // The first row of the matrix is drawn at the top.
                var text = plot.Add.Text(BenchText.Ratio(cells[k, n]), n, ks.Length - 1 - k);
                text.LabelAlignment = Alignment.MiddleCenter;
                text.LabelFontColor = Colors.Black;
            }
        }

        plot.Title(title);
        plot.XLabel("N, output features");
        plot.YLabel("K, input features");
        plot.Axes.Bottom.SetTicks([.. ns.Select((_, i) => (double)i)], [.. ns.Select(n => $"{n}")]);
        plot.Axes.Left.SetTicks([.. ks.Select((_, i) => (double)(ks.Length - 1 - i))], [.. ks.Select(k => $"{k}")]);
        plot.HideGrid();
        plot.Add.ColorBar(map);
        plot.SavePng(path, 200 + 90 * Math.Max(4, ns.Length), 160 + 60 * Math.Max(4, ks.Length));
    }
}
