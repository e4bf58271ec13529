using ScottPlot;

namespace Titan.NumericsFigure;

/// <summary>Two panels side by side: a bad row and a bad column.</summary>
internal static class Figure
{
    private static readonly Color[] Colours = [Color.FromHex("#c44e52"), Color.FromHex("#dd8452"), Color.FromHex("#8172b3"), Color.FromHex("#4c72b0")];
    // Lines lie on each other where recipes do equally well: wide ones below, thin ones on top.
    private static readonly float[] Widths = [3.5f, 6, 2.5f, 2];
    private static readonly MarkerShape[] Markers = [MarkerShape.FilledCircle, MarkerShape.FilledSquare, MarkerShape.FilledTriangleUp, MarkerShape.FilledDiamond];

    public static void Draw(string path, IReadOnlyList<string> recipes, double[][] byRow, double[][] byColumn)
    {
        var figure = new Multiplot();
        figure.AddPlots(2);
        figure.Layout = new ScottPlot.MultiplotLayouts.Columns();
        Panel(figure.GetPlot(0), "One bad row of the input", recipes, byRow, legend: false);
        Panel(figure.GetPlot(1), "One bad column of the input, which the weight does not use", recipes, byColumn, legend: true);
        figure.SavePng(path, 1200, 480);
    }

    private static void Panel(Plot plot, string title, IReadOnlyList<string> recipes, double[][] lines, bool legend)
    {
        plot.FigureBackground.Color = Colors.White;
        plot.DataBackground.Color = Colors.White;
        plot.Title(title);
        plot.XLabel("outlier factor: the row or column times this");
        plot.YLabel("SQNR of the output, median over rows (dB)");
        foreach (var i in Enumerable.Range(0, lines.Length).OrderByDescending(i => Widths[i]))
        {
            var line = plot.Add.Scatter(OutlierError.Factors.Select(Math.Log10).ToArray(), lines[i], Colours[i]);
            line.LegendText = recipes[i];
            line.LineWidth = Widths[i];
            line.MarkerShape = Markers[i];
            line.MarkerSize = 5 + Widths[i];
        }

        plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericManual([0, 1, 2, 3, 4, 5, 6], ["1", "10", "100", "1e3", "1e4", "1e5", "1e6"]);
        plot.Axes.SetLimits(-0.2, 6.2, -2, 33);
        plot.Axes.Bottom.TickLabelStyle.FontSize = plot.Axes.Left.TickLabelStyle.FontSize = 14;
        plot.Axes.Bottom.Label.FontSize = plot.Axes.Left.Label.FontSize = 15;
        plot.Axes.Bottom.Label.Bold = plot.Axes.Left.Label.Bold = false;
        plot.Font.Set("DejaVu Sans");
        plot.Grid.MajorLineColor = Color.FromHex("#e5e5e5");
        if (!legend)
        {
            plot.HideLegend();
            return;
        }

        plot.ShowLegend(Alignment.LowerLeft);
        plot.Legend.FontSize = 14;
    }
}
