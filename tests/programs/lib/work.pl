# A deterministic workload. With an argument it makes sure first that this library is loaded.
use strict;
use warnings;

if (my $library = shift) {
    open my $maps, '<', '/proc/self/maps' or die $!;
    grep { index($_, $library) >= 0 } <$maps> or die "runs without the library\n";
}

my $sum = 0;
sub note { $sum = ($sum * 31 + unpack '%32C*', $_[0]) % 4294967291; }

# A hash that grows and shrinks.
my %words;
for my $i (1 .. 300_000) {
    $words{"word " . ($i * 7919 % 100_003)} .= chr(97 + $i % 26);
    delete $words{"word " . ($i * 104_729 % 100_003)} if $i % 3 == 0;
}
note("$_=$words{$_}") for sort keys %words;
print scalar(keys %words), " words, $sum\n";

# Strings of every length, cut and joined.
my @lines = map { join ',', map { $_ * $_ } 0 .. $_ % 200 } 1 .. 20_000;
my $text = join "\n", @lines;
my $count = 0;
$count++ while $text =~ /\b(\d+)4,(\d+)\b/g;
$text =~ s/(\d{3,})/<$1>/g;
note($text);
print length($text), " characters, $count matches, $sum\n";

# Trees of objects that die in another order than they were born.
my @trees;
sub tree { my $depth = shift; $depth ? { left => tree($depth - 1), right => [tree($depth - 1)] } : { leaf => 'x' x 20 } }
sub leaves { my $t = shift; $t->{leaf} ? 1 : leaves($t->{left}) + leaves($t->{right}[0]) }
for my $round (1 .. 60) {
    push @trees, tree(10);
    splice @trees, ($round * 13) % @trees, 1 if @trees > 12;
}
my $leaves = 0;
$leaves += leaves($_) for @trees;
print scalar(@trees), " trees, $leaves leaves\n";

# Sorting numbers as strings and as numbers.
my @numbers = map { ($_ * 48_271) % 2_147_483_647 } 1 .. 200_000;
note(join ' ', (sort @numbers)[0 .. 999], (sort { $a <=> $b } @numbers)[0 .. 999]);
print "sorted, $sum\n";
